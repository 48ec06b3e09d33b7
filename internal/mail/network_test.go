package mail_test

import (
	"net/netip"
	"testing"

	"porcupine/internal/mail"
)

func TestNetworkOf(t *testing.T) {
	for _, tt := range []struct{ addr, want string }{
		{"192.0.2.7", "192.0.2.7/32"},
		{"::ffff:192.0.2.7", "192.0.2.7/32"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"fe80::1%eth0", "fe80::/64"},
	} {
		if got := mail.NetworkOf(netip.MustParseAddr(tt.addr)).String(); got != tt.want {
			t.Errorf("NetworkOf(%q) = %v, want %v", tt.addr, got, tt.want)
		}
	}
	if got := mail.NetworkOf(netip.Addr{}); got != (netip.Prefix{}) {
		t.Errorf("NetworkOf(zero) = %v, want the zero prefix", got)
	}
}

func TestSiteOf(t *testing.T) {
	for addr, want := range map[string]string{"2001:db8:1:2:3:4:5:6": "2001:db8:1::/48", "192.0.2.7": "", "::ffff:192.0.2.7": ""} {
		site, ok := mail.SiteOf(mail.NetworkOf(netip.MustParseAddr(addr)))
		if ok != (want != "") || ok && site.String() != want {
			t.Errorf("SiteOf(%q) = %v, %v, want %q", addr, site, ok, want)
		}
	}
	if site, ok := mail.SiteOf(netip.Prefix{}); ok {
		t.Errorf("SiteOf(zero) = %v, want none", site)
	}
}

func TestIsOfThisSite(t *testing.T) {
	for text, want := range map[string]bool{
		"127.0.0.1": true, "::1": true, "10.1.2.3": true, "::ffff:192.168.0.1": true, "fd00::1": true,
		"192.0.2.1": false, "2001:db8::1": false, "::ffff:192.0.2.1": false,
	} {
		if got := mail.IsOfThisSite(netip.MustParseAddr(text)); got != want {
			t.Errorf("IsOfThisSite(%s) = %v, want %v", text, got, want)
		}
	}
	if mail.IsOfThisSite(netip.Addr{}) {
		t.Error("no address is of this site")
	}
}
