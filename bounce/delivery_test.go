package bounce

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func TestArrived(t *testing.T) {
	at := time.Date(2026, 11, 23, 9, 0, 10, 0, time.UTC)
	for _, tt := range []struct {
		d    Delivery
		want time.Time
	}{
		{Delivery{Time: at, Delay: 10}, at.Add(-10 * time.Second)},
		{Delivery{Time: at, Delay: -1}, time.Time{}},
		{Delivery{Delay: 10}, time.Time{}},
	} {
		if got := tt.d.Arrived(); !got.Equal(tt.want) {
			t.Errorf("%v, %v s: %v, want %v", tt.d.Time, tt.d.Delay, got, tt.want)
		}
	}
}

// TestOwnNetwork compares the cheap test with the ranges of net/netip.
func TestOwnNetwork(t *testing.T) {
	ips := []string{
		"", "x", "10", "10.1", "192.168.1", "010.0.0.1", "::", "::1", "0:0:0:0:0:0:0:1", "fe80::1", "febf::1", "fec0::1", "fc00::1", "fd12::1", "FD12::1",
		"2001:db8::1", "1000::1", "172::1", "10::1", "::ffff:10.0.0.1", "::ffff:192.0.2.1", "a::1", "fe80::1%eth0", "10.0.0.1:25",
	}
	for a := range 256 {
		for _, b := range []int{0, 15, 16, 31, 32, 167, 168, 169, 253, 254, 255} {
			ips = append(ips, fmt.Sprintf("%d.%d.0.1", a, b))
		}
	}
	for _, ip := range ips {
		a, err := netip.ParseAddr(ip)
		want := err == nil && (a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast())
		if got := OwnNetwork(ip); got != want {
			t.Errorf("%s: got %v, want %v", ip, got, want)
		}
	}
}
