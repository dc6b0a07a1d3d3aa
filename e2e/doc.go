// Package e2e holds the tests that need the real thing: Postfix and Exim that
// really deliver, syslog, logrotate, signals. The lab in lab/ runs them; its
// README says how.
//
// All but the sample logs are behind the build tag e2e and need root on
// Debian 12:
//
//	go test -tags e2e -count=1 -timeout 12m ./e2e/...
package e2e
