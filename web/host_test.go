package web_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bouncelog/bounce"
	"bouncelog/store"
	"bouncelog/store/storetest"
)

// TestHosts has two hosts in one database, one of them silent. The page of the logs shows the delay
// of each, and links to the pages of each.
func TestHosts(t *testing.T) {
	db := database(t, "")
	for i, host := range []string{"mx1", `mx<7>`} {
		b := new(store.Batch)
		last := at.Add(-time.Duration(1+50*i) * time.Hour)
		for j := range 3 + i {
			b.Attempts = append(b.Attempts, store.Attempt{Delivery: bounce.Delivery{
				Source: host + "/log", Offset: int64(100 * j), Time: last, Host: host, MTA: bounce.Postfix, QueueID: fmt.Sprint("A", j),
				Recipient: "a@x.example", RecipientDomain: "x.example", Outcome: bounce.Delivered, Status: "sent", Delay: -1,
			}})
		}
		b.Sources = []store.Source{{ID: host + "/log", Path: "/var/log/mail.log", Offset: 1000, First: last, Last: last}}
		storetest.Append(t, db, b)
	}
	s := dashboard(t, db, nil)
	body := text(t, ask(s, "GET", "/log"))
	for _, want := range []string{">Hosts<", "silent", `host=mx%3C7%3E`} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in the page of the logs", want)
		}
	}
	if strings.Contains(body, "mx<7>") {
		t.Error("the name of a host is markup")
	}
	if body := text(t, ask(s, "GET", "/now")); !strings.Contains(body, "has sent nothing for 2 d") || !strings.Contains(body, "Silent hosts: 1 of 2") {
		t.Error("the first page does not say that a host is silent")
	}
	if body := text(t, ask(s, "GET", "/attempts?host=mx1&format=csv")); strings.Count(body, "a@x.example") != 3 {
		t.Errorf("of one host:\n%s", body)
	}
}
