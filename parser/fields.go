package parser

import "bytes"

// isOfJournal reports whether the journal writes a field of this name: _PID, CODE_FILE.
func isOfJournal(key []byte) bool {
	if len(key) > 1 && key[0] == '_' && (key[1] == '_' || key[1]-'A' < 26) {
		return true
	}
	if len(key) == 0 || key[0]-'A' >= 26 {
		return false
	}
	for _, prefix := range [...]string{"PRIORITY", "SYSLOG_", "CONTAINER_", "CODE_", "IMAGE_NAME", "MESSAGE_ID", "INVOCATION_ID", "UNIT", "TID"} {
		if bytes.HasPrefix(key, []byte(prefix)) {
			return true
		}
	}
	return false
}

// isShippersObject reports whether shippers put an object of this name, in lower case, beside a
// text.
func isShippersObject(name string) bool {
	switch name {
	case "kubernetes", "k8s", "docker", "container", "pod", "process", "log", "host", "agent", "input", "ecs", "event", "fields", "labels",
		"attributes", "attrs", "resource", "resourceattributes", "scope", "instrumentationscope", "metadata", "orchestrator", "cloud", "body", "datastream",
		"beat", "prospector", "fileset", "service", "syslog", "systemd", "journald", "file", "annotations", "structureddata", "source", "app",
		"application", "operation", "sourcelocation", "stream":
		return true
	}
	return false
}

// isShippersField reports whether shippers, their formats or the exports of log stores have a field
// of this name. The name is in lower case and without separators between its words.
func isShippersField(name string) bool {
	switch name {
	case "id", "uuid", "eventid", "insertid", "docid", "seq", "sequence", "sequencenumber", "offset", "position", "cursor", "index", "type", "version",
		"v", "score", "sort", "highlight", "ignored", "shards", "tag", "tags", "flags", "traceid", "spanid", "trace", "tracesampled", "traceflags", "droppedattributescount", "schemaurl",
		// Times
		"t", "ns", "tsns", "timens", "nanoseconds", "timeunixnano", "observedtimeunixnano", "observedtimestamp", "ingestiontime", "ingested", "receivetimestamp",
		"receivedat", "displayreceivedat", "generatedat", "eventreceivedtime", "timegenerated", "devicereportedtime", "indextime", "subsecond", "cd", "bkt", "si", "serial",
		// Severities and facilities
		"level", "levelname", "loglevel", "detectedlevel", "severitynumber", "severityvalue", "severitylabel", "severitycode", "severitylevel", "syslogseverity", "syslogseverityvalue", "syslogseveritycode", "syslogseveritytext",
		"facility", "facilitylabel", "facilitycode", "facilityvalue", "facilitynum", "facilityname", "facilitytext", "syslogfacility", "syslogfacilityvalue", "syslogfacilitycode", "priorityvalue", "syslogpri",
		// Hosts
		"node", "nodename", "fromhost", "fromhostip", "sourcehost", "sourceip", "sourceid", "hostip", "hostid", "collectorhostname", "mg", "sourcesystem", "tenantid", "splunkserver", "instanceid", "ec2instanceid", "region", "zone", "linecount", "punct",
		// Programs and containers
		"processid", "threadid", "tid", "msgid", "messageid", "containerid", "containerhash", "containerimage", "imageid", "command", "created", "namespace", "namespacename", "podid", "podip", "podnamespace", "cluster",
		"clustername", "ecscluster", "ecstaskarn", "ecstaskdefinition", "dockerid", "taskid",
		// What admins label hosts and logs with
		"ip", "server", "machine", "instance", "role", "team", "group", "site", "location", "rack", "pool", "stack", "tier", "stage", "deployment", "release", "project", "projectid",
		"tenant", "vendor", "product",
		// Shippers and stores
		"took", "timedout", "scrollid", "lineno", "linenumber", "bytes", "size", "checksum", "hash", "key", "topic", "partition", "partial", "logsource",
		"logtype", "logid", "logmsg", "logtypes", "logentrysource", "resourceid", "category", "operationname", "ddsource", "ddtags", "sourcemoduletype", "sourcemodulename", "streams", "gl2remoteip", "gl2remoteport",
		"gl2sourceinput", "gl2sourcenode", "gl2accountedmessagesize", "gl2messageid", "gl2processingtimestamp", "gl2receivetimestamp", "gl2processingdurationms", "log", "ptr", "searchedlogstreams", "nexttoken", "nextforwardtoken", "nextbackwardtoken", "owner", "messagetype", "subscriptionfilters", "eventtype", "env", "environment", "dc",
		"datacenter", "platform", "fields", "labels", "labeltypes", "attributes", "structureddata", "originalmsg", "inputname", "iut", "output":
		return true
	}
	return false
}
