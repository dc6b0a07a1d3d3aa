package main

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// A unit is the daemon's systemd unit, to which it reports its state (sd_notify(3)).
type unit struct {
	log      *slog.Logger
	isReady  bool
	lags     bool
	said     time.Time     // when it last reported the number of unread bytes
	interval time.Duration // of the watchdog; 0: none
	last     time.Time     // of the last report to the watchdog
}

// newUnit returns the unit. Without systemd nothing is sent.
func newUnit(log *slog.Logger) *unit {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("watchdog", "error", err)
	}
	return &unit{log: log, interval: interval}
}

// send sends a state to systemd; an error is logged.
func (u *unit) send(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		u.log.Warn("sd_notify", "error", err)
	}
}

// behind reports how many bytes are unread. The daemon is ready once it has caught up; later it
// warns once a minute while more than lagging bytes are unread.
func (u *unit) behind(bytes int64) {
	switch {
	case bytes == 0 && (!u.isReady || u.lags):
		u.isReady, u.lags = true, false
		u.log.Info("caught up, following")
		u.send(daemon.SdNotifyReady + "\nSTATUS=caught up, following")
	case bytes < lagging && u.isReady:
	case !u.isReady && time.Since(u.said) >= time.Second:
		u.said = time.Now()
		u.send(fmt.Sprintf("STATUS=catching up, %d MB to read\nEXTEND_TIMEOUT_USEC=30000000", bytes>>20))
	case u.isReady && time.Since(u.said) >= time.Minute:
		u.said, u.lags = time.Now(), true
		u.log.Warn("behind the log", "bytes", bytes)
		u.send(fmt.Sprintf("STATUS=behind by %d MB", bytes>>20))
	}
}

// lagging is the number of unread bytes from which on the daemon warns.
const lagging = 8 << 20

// alive reports to the watchdog, three times in its interval.
func (u *unit) alive() {
	if u.interval > 0 && time.Since(u.last) >= u.interval/3 {
		u.last = time.Now()
		u.send(daemon.SdNotifyWatchdog)
	}
}

// waiting reports to the watchdog that the daemon waits for its database. Any goroutine may call it.
func (u *unit) waiting() {
	u.send(daemon.SdNotifyWatchdog + "\nSTATUS=waiting for the database\nEXTEND_TIMEOUT_USEC=30000000")
}

// stopping reports that the daemon stops.
func (u *unit) stopping() { u.send(daemon.SdNotifyStopping) }
