package bench

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Limits of a Config. They keep a slip of the keyboard from becoming an attack on the machine.
const (
	WorkersMax   = 4096
	UsersMax     = 10_000_000
	AddressesMax = 1024
	DurationMax  = 24 * time.Hour
	MessageMin   = 512      // bytes: the header fields and one line
	MessageMax   = 64 << 20 // bytes, upper bound for Config.SizeMax
)

// TLSMode says how connections are secured.
type TLSMode string

// The TLS modes. Certificates are verified only if Config.TLSConfig is given.
const (
	TLSNone     TLSMode = "none"     // in clear
	TLSStart    TLSMode = "starttls" // STARTTLS in SMTP, STLS in POP3
	TLSImplicit TLSMode = "implicit" // TLS from the first byte
)

// Config says what to load, how, and for how long. DefaultConfig gives the defaults named here;
// a zero value does not mean the default unless it says so.
type Config struct {
	SMTP []string // host:port of every SMTP listener; each session takes any that it can reach
	POP3 []string // host:port of every POP3 listener; likewise

	// UserPattern makes the users' addresses, from 0 to Users-1, with one %d:
	// "u%d@example.test". The address is the login name too, Password is everybody's password.
	UserPattern string
	Users       int // default 10
	Password    string
	From        string // envelope sender, default "bench@sender.example"

	Workers  int           // sessions at once; default 32
	Duration time.Duration // of the load, without the settling; default 30 s
	Sessions int64         // end the load after so many sessions; 0: Duration alone ends it
	Seed     uint64        // fixes users, sizes, contents and mix; default 1

	SMTPShare float64 // of all sessions; default 0.9
	Zipf      float64 // exponent of the users' popularity, > 1; 0: all alike; default 1.3
	SizeMean  int     // bytes, header fields included; default 4700
	SizeSigma float64 // of the lognormal law; 0: all messages have SizeMean; default 1.3
	SizeMax   int     // bytes; default 1 MiB

	Timeout time.Duration // for one network step; default 30 s
	Settle  time.Duration // after the load, without finding an owed message; default 30 s

	TLS         TLSMode     // default TLSNone
	TLSConfig   *tls.Config // nil: certificates are not verified
	AllowRemote bool        // permit targets that are not loopback addresses
}

// DefaultConfig gives the paper's workload, without targets and password.
func DefaultConfig() Config {
	return Config{
		UserPattern: "u%d@example.test",
		Users:       10,
		From:        "bench@sender.example",
		Workers:     32,
		Duration:    30 * time.Second,
		Seed:        1,
		SMTPShare:   0.9,
		Zipf:        1.3,
		SizeMean:    4700,
		SizeSigma:   1.3,
		SizeMax:     1 << 20,
		Timeout:     30 * time.Second,
		Settle:      30 * time.Second,
		TLS:         TLSNone,
	}
}

// Validate lists everything that is wrong with the Config, each with what to do.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(len(c.SMTP) > 0, "no SMTP address: give at least one host:port")
	check(len(c.POP3) > 0, "no POP3 address: give at least one host:port; without pick-ups nothing can be checked")
	check(len(c.SMTP) <= AddressesMax && len(c.POP3) <= AddressesMax, "more than %d addresses", AddressesMax)
	for _, addr := range append(append([]string(nil), c.SMTP...), c.POP3...) {
		if err := checkTarget(addr, c.AllowRemote); err != nil {
			errs = append(errs, err)
		}
	}
	check(strings.Count(c.UserPattern, "%") == 1 && strings.Contains(c.UserPattern, "%d"),
		"user pattern %q: want exactly one %%d, for example u%%d@example.test", c.UserPattern)
	check(!strings.ContainsAny(c.UserPattern+c.Password+c.From, "\r\n\x00"), "user pattern, password or sender contains a line break or NUL")
	check(1 <= c.Users && c.Users <= UsersMax, "users = %d: want 1 to %d", c.Users, UsersMax)
	check(1 <= c.Workers && c.Workers <= WorkersMax, "workers = %d: want 1 to %d", c.Workers, WorkersMax)
	check(0 < c.Duration && c.Duration <= DurationMax, "duration = %v: want more than 0, at most %v", c.Duration, DurationMax)
	check(c.Sessions >= 0, "sessions = %d: want 0 or more", c.Sessions)
	check(0 <= c.SMTPShare && c.SMTPShare <= 1, "SMTP share = %v: want 0 to 1", c.SMTPShare)
	check(c.Zipf == 0 || c.Zipf > 1, "Zipf exponent = %v: want 0 or more than 1", c.Zipf)
	check(MessageMin <= c.SizeMax && c.SizeMax <= MessageMax, "largest size = %d: want %d to %d bytes", c.SizeMax, MessageMin, MessageMax)
	check(MessageMin <= c.SizeMean && c.SizeMean <= c.SizeMax, "mean size = %d: want %d to the largest size", c.SizeMean, MessageMin)
	check(0 <= c.SizeSigma && c.SizeSigma <= 3, "size sigma = %v: want 0 to 3", c.SizeSigma)
	check(c.Timeout > 0, "timeout = %v: want more than 0", c.Timeout)
	check(c.Settle > 0, "settle = %v: want more than 0", c.Settle)
	check(c.TLS == TLSNone || c.TLS == TLSStart || c.TLS == TLSImplicit, "TLS mode %q: want %q, %q or %q", c.TLS, TLSNone, TLSStart, TLSImplicit)
	if len(errs) > 0 {
		return fmt.Errorf("benchmark configuration: %w", errors.Join(errs...))
	}
	return nil
}

// checkTarget refuses a malformed address, and one that is not loopback unless remote is allowed.
// A host name counts as remote, but for localhost: what it means may change between check and use.
func checkTarget(addr string, allowRemote bool) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "" {
		return fmt.Errorf("address %q: want host:port", addr)
	}
	ip, err := netip.ParseAddr(host)
	if allowRemote || host == "localhost" || err == nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("address %q: not a loopback address; load only a service of your own, and allow remote targets if this is one", addr)
}
