package parser

import "time"

// Options hold what is known about a source before it is read.
type Options struct {
	// Year overrides the inferred year of the first line without a year; 0 means that it is
	// inferred.
	Year int
	// Location is the zone of stamps without one; nil means time.Local.
	Location *time.Location
	// Modified is the time of the last write to the source: no line in it is younger, with one day
	// of tolerance. The zero time or a future time means now.
	Modified time.Time
	// Now is the present: a stamp more than a day later counts as none. The zero time means the
	// machine's clock.
	Now time.Time
	// Last is the time of the last line that was read before, if reading is resumed. The zero time
	// means that reading begins at the start.
	Last time.Time
	// Source is copied to Delivery.Source and Expiry.Source.
	Source string
	// Host is the host of lines that name none, such as lines of Exim's own log.
	Host string
	// MailServers are names, or patterns as in path.Match, of mail servers in wrappers. A mail
	// server wrote the text after such a name.
	MailServers []string
}
