//go:build linux

package main

import (
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
)

// Where the services of the made-up internet listen.
const (
	dnsAddr    = "127.0.0.53:53"
	policyAddr = "127.0.0.1:10040"
	milterAddr = "127.0.0.1:10041"
)

// world starts every part of the made-up internet, creates the file ready,
// and serves until it is told to stop.
func world(dir, ready string) error {
	z, err := loadZones(dir + "/zones.db")
	if err != nil {
		return err
	}
	if err := z.serve(dnsAddr); err != nil {
		return err
	}
	hosts, err := loadSinks(dir + "/sinks.tsv")
	if err != nil {
		return err
	}
	for _, h := range hosts {
		if err := h.serve(); err != nil {
			return fmt.Errorf("%s: %w", h.name, err)
		}
	}
	if err := servePolicy(policyAddr); err != nil {
		return err
	}
	if err := serveMilter(milterAddr); err != nil {
		return err
	}
	if err := os.WriteFile(ready, nil, 0o644); err != nil {
		return err
	}
	log.Printf("world: %d mail hosts are up", len(hosts))

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
	return nil
}
