package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"porcupine/internal/bench/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testConfig loads the addresses with a few hundred small sessions.
func testConfig(smtp, pop3 string) Config {
	c := DefaultConfig()
	c.SMTP, c.POP3 = []string{smtp}, []string{pop3}
	c.Password = "porcupine"
	c.Workers = 4
	c.Users = 20
	c.Sessions = 300
	c.SizeMax = 64 << 10
	c.Settle = time.Millisecond // a fake that lost a message will not find it
	c.Timeout = 10 * time.Second
	return c
}

func TestRunTellsMisdeeds(t *testing.T) {
	tests := []struct {
		misdeed string
		nth     int
		broken  func(Report) int // the count that must not be zero
		exit    int
	}{
		{"", 0, nil, 0},
		{"lose", 10, func(r Report) int { return r.Ledger.Lost }, 1},
		{"duplicate", 10, func(r Report) int { return r.Ledger.Duplicated }, 1},
		{"undead", 1, func(r Report) int { return r.Ledger.Duplicated }, 1},
		{"corrupt", 10, func(r Report) int { return r.Ledger.Corrupt }, 1},
		{"misplace", 10, func(r Report) int { return r.Ledger.Misplaced }, 1},
		{"phantom", 10, func(r Report) int { return r.Ledger.Phantom }, 1},
		{"rename", 3, func(r Report) int { return r.Ledger.Renamed }, 1},
		{"refuse", 10, func(r Report) int { return int(r.Refused5xx) }, 0},
		{"cut", 10, func(r Report) int { return r.Ledger.AmbiguousFound }, 0},
		{"cut and lose", 10, func(r Report) int { return r.Ledger.Ambiguous - r.Ledger.AmbiguousFound }, 0},
		{"no farewell", 3, func(r Report) int { return int(r.POP3Errors) }, 0},
		{"unavailable", 0, func(r Report) int { return len(r.Unread) + r.UnreadMore }, 1},
	}
	for _, tt := range tests {
		t.Run(tt.misdeed, func(t *testing.T) {
			t.Parallel()
			rep, err := Run(t.Context(), testConfig(startFake(t, &fakeService{misdeed: tt.misdeed, nth: tt.nth})))
			if err != nil {
				t.Fatalf("Run: %v", err)
			}
			if rep.ExitStatus() != tt.exit || tt.broken != nil && tt.broken(rep) == 0 {
				var text bytes.Buffer
				rep.WriteText(&text)
				t.Errorf("ExitStatus() = %d, want %d, and the misdeed told in:\n%s", rep.ExitStatus(), tt.exit, &text)
			}
		})
	}
}

func TestRunCounts(t *testing.T) {
	c := testConfig(startFake(t, &fakeService{}))
	rep, err := Run(t.Context(), c)
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	if got := rep.Accepted + rep.Pickups; got != c.Sessions {
		t.Errorf("accepted + pick-ups = %d, want the %d sessions", got, c.Sessions)
	}
	if share := float64(rep.Accepted) / float64(c.Sessions); share < 0.8 || share > 0.97 {
		t.Errorf("share of SMTP = %v, want about 0.9", share)
	}
	if rep.Ledger.Owed != int(rep.Accepted) || rep.Ledger.Found != rep.Ledger.Owed {
		t.Errorf("ledger = %+v, want %d owed and found", rep.Ledger, rep.Accepted)
	}
	if rep.SMTP.Count() != rep.Accepted || rep.POP3.Count() != rep.Pickups || rep.SMTP.Max() <= 0 {
		t.Errorf("latencies: %v; %v", rep.SMTP, rep.POP3)
	}
	var ended int64
	for _, s := range rep.Timeline {
		ended += s.Accepted + s.Pickups + s.Failed
	}
	if ended != c.Sessions {
		t.Errorf("timeline has %d sessions, want %d", ended, c.Sessions)
	}
	b, err := json.Marshal(rep)
	if err != nil {
		t.Fatalf("Marshal: %v", err)
	}
	for _, field := range []string{`"accepted":`, `"smtp_latency":{"count":`, `"p99_ms":`, `"lost":0`, `"timeline":[`, `"longest_gap_ms":`} {
		if !strings.Contains(string(b), field) {
			t.Errorf("JSON has no %s:\n%s", field, b)
		}
	}
}

func TestRunTakesTheNextAddress(t *testing.T) {
	c := testConfig(startFake(t, &fakeService{}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody listens there any more
	c.SMTP, c.POP3 = append(c.SMTP, l.Addr().String()), append(c.POP3, l.Addr().String())
	rep, err := Run(t.Context(), c)
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	if !rep.OK() || rep.Accepted+rep.Pickups != c.Sessions || rep.Unreachable == 0 {
		t.Errorf("%d + %d sessions succeeded, %d addresses unreachable, want all %d, and some", rep.Accepted, rep.Pickups, rep.Unreachable, c.Sessions)
	}
}

func TestRunStopsWithItsContext(t *testing.T) {
	smtp, pop3 := startFake(t, &fakeService{})
	c := testConfig(smtp, pop3)
	c.Sessions, c.Duration = 0, time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Run(ctx, c); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run = %v, want DeadlineExceeded", err)
	}
}

func TestRunWithoutService(t *testing.T) {
	smtp, pop3 := startFake(t, &fakeService{misdeed: "unavailable"})
	c := testConfig(pop3, smtp) // each where the other is: no session can succeed
	c.Sessions = 4
	rep, err := Run(t.Context(), c)
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	if rep.ExitStatus() != 1 || rep.SMTPErrors+rep.POP3Errors != 4 {
		t.Errorf("ExitStatus() = %d with %d + %d errors, want 1 with 4", rep.ExitStatus(), rep.SMTPErrors, rep.POP3Errors)
	}
}

func TestConfigValidate(t *testing.T) {
	ok := testConfig("127.0.0.1:25", "[::1]:110")
	tests := []struct {
		name   string
		change func(*Config)
		want   string // part of the error, "" for none
	}{
		{"good", func(*Config) {}, ""},
		{"localhost", func(c *Config) { c.SMTP = []string{"localhost:25"} }, ""},
		{"remote", func(c *Config) { c.SMTP = []string{"192.0.2.1:25"} }, "not a loopback address"},
		{"remote name", func(c *Config) { c.POP3 = []string{"mail.example:110"} }, "not a loopback address"},
		{"remote allowed", func(c *Config) { c.SMTP, c.AllowRemote = []string{"192.0.2.1:25"}, true }, ""},
		{"no port", func(c *Config) { c.SMTP = []string{"127.0.0.1"} }, "want host:port"},
		{"no POP3", func(c *Config) { c.POP3 = nil }, "no POP3 address"},
		{"pattern", func(c *Config) { c.UserPattern = "u@example.test" }, "want exactly one %d"},
		{"two patterns", func(c *Config) { c.UserPattern = "u%d@%s" }, "want exactly one %d"},
		{"injection", func(c *Config) { c.From = "a\r\nRSET" }, "line break"},
		{"workers", func(c *Config) { c.Workers = 0 }, "workers = 0"},
		{"too many workers", func(c *Config) { c.Workers = WorkersMax + 1 }, "workers ="},
		{"Zipf", func(c *Config) { c.Zipf = 0.5 }, "Zipf exponent"},
		{"TLS", func(c *Config) { c.TLS = "ssl" }, "TLS mode"},
		{"duration", func(c *Config) { c.Duration = 0 }, "duration"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := ok
			tt.change(&c)
			err := c.Validate()
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Validate() = %v, want %q", err, tt.want)
			}
			if tt.want != "" {
				if _, err := Run(t.Context(), c); err == nil {
					t.Error("Run = nil, want the same error")
				}
			}
		})
	}
}

func TestReportOK(t *testing.T) {
	good := Report{Accepted: 1, Ledger: ledger.Totals{Owed: 1, Found: 1}}
	tests := []struct {
		name   string
		change func(*Report)
		want   bool
	}{
		{"good", func(*Report) {}, true},
		{"session errors alone", func(r *Report) { r.SMTPErrors, r.Refused4xx = 5, 5 }, true},
		{"lost", func(r *Report) { r.Ledger.Lost = 1 }, false},
		{"unread", func(r *Report) { r.Unread = []string{"u0"} }, false},
		{"nothing done", func(r *Report) { r.Accepted = 0 }, false},
	}
	for _, tt := range tests {
		r := good
		tt.change(&r)
		if got := r.OK(); got != tt.want {
			t.Errorf("%s: OK() = %v, want %v", tt.name, got, tt.want)
		}
	}
}
