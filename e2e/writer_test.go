//go:build e2e

package e2e

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// writerEnv makes this test binary a writer of log lines. It holds the
// writer's options, KEY=VALUE, one a line.
const writerEnv = "BOUNCELOG_E2E_WRITER"

func init() {
	if options, ok := os.LookupEnv(writerEnv); ok {
		writer(options)
		os.Exit(0)
	}
}

// writer appends numbered lines to a log the way a syslog daemon or Exim does:
// O_APPEND, one write a line. Options:
//
//	log, from, n   the file, the first number, how many lines
//	rate, burst    lines a second (0: as fast as possible), lines without a pause
//	format         postfix or exim
//	reopen         hup (rsyslog), inode (Exim: look before each line) or never
//	partial        share of the lines that are written in two pieces
//	junk           NUL bytes, invalid UTF-8, CR, lines of 2 MB
func writer(options string) {
	fs := flag.NewFlagSet("writer", flag.ExitOnError)
	path := fs.String("log", "", "")
	from := fs.Int("from", 1, "")
	n := fs.Int("n", 1000, "")
	rate := fs.Int("rate", 0, "")
	burst := fs.Int("burst", 100, "")
	format := fs.String("format", "postfix", "")
	reopen := fs.String("reopen", "hup", "")
	partial := fs.Float64("partial", 0, "")
	junk := fs.Bool("junk", false, "")
	for _, o := range strings.Split(options, "\n") {
		k, v, _ := strings.Cut(o, "=")
		if err := fs.Set(k, v); err != nil {
			log.Fatalf("writer: %q: %v", o, err)
		}
	}
	hup := make(chan os.Signal, 8)
	signal.Notify(hup, syscall.SIGHUP)
	open := func() *os.File {
		f, err := os.OpenFile(*path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err != nil {
			log.Fatal(err)
		}
		return f
	}
	f := open()
	write := func(b []byte) {
		if _, err := f.Write(b); err != nil {
			log.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(uint64(*from), 0))
	for i := range *n {
		switch *reopen {
		case "hup":
			select {
			case <-hup:
				f.Close()
				f = open()
			default:
			}
		case "inode":
			a, _ := f.Stat()
			if b, err := os.Stat(*path); err != nil || !os.SameFile(a, b) {
				f.Close()
				f = open()
			}
		}
		line := numberedLine(*format, *from+i)
		if *junk {
			line = append(line, junkFor(i, rng)...)
		}
		line = append(line, '\n')
		if rng.Float64() < *partial {
			cut := 1 + rng.IntN(len(line)-1)
			write(line[:cut])
			time.Sleep(time.Duration(rng.IntN(60)) * time.Millisecond) // between the two pieces
			write(line[cut:])
		} else {
			write(line)
		}
		if *rate > 0 && (i+1)%*burst == 0 {
			time.Sleep(time.Duration(*burst) * time.Second / time.Duration(*rate)) // the rate
		}
	}
	if err := f.Close(); err != nil {
		log.Fatal(err)
	}
}

// numberedLine is a bounce of its own for each number, which is in the address.
func numberedLine(format string, n int) []byte {
	now := time.Now().UTC()
	if format == "exim" {
		return fmt.Appendf(nil, "%s 1tE%03d-%06d-2x ** u%08d@bounce.test R=dnslookup T=remote_smtp H=mx.bounce.test [192.0.2.7]: SMTP error from remote mail server after RCPT TO:<u%08d@bounce.test>: 550 5.1.1 User unknown",
			now.Format("2006-01-02 15:04:05"), n/1_000_000%1000, n%1_000_000, n, n)
	}
	return fmt.Appendf(nil, "%s mx1 postfix/smtp[4242]: 4T%08dz: to=<u%08d@bounce.test>, relay=mx.bounce.test[192.0.2.7]:25, delay=1.2, delays=0.1/0/0.5/0.6, dsn=5.1.1, status=bounced (host mx.bounce.test[192.0.2.7] said: 550 5.1.1 User unknown (in reply to RCPT TO command))",
		now.Format("2006-01-02T15:04:05.000000-07:00"), n, n)
}

func junkFor(i int, rng *rand.Rand) []byte {
	switch {
	case i%500 == 250:
		return bytes.Repeat([]byte("L"), 1<<20+rng.IntN(1<<20))
	case i%9 == 1:
		return []byte(" nul \x00\x00\x00 bytes")
	case i%9 == 2:
		return []byte(" latin1 Gr\xfc\xdfe \xff\xfe, UTF-8 Grüße")
	case i%9 == 3:
		return []byte("\r")
	case i%9 == 4:
		return []byte(" cr\rinside \v \f \u2028")
	case i%9 == 5:
		return bytes.Repeat([]byte("x"), rng.IntN(20_000))
	}
	return nil
}
