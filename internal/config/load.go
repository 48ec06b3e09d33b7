package config

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
)

// Load reads the file and fills what it leaves out with the defaults; an empty path gives the
// defaults alone. Errors name the field, what is wrong and what to write.
func Load(path string) (Config, error) {
	hostname, err := os.Hostname()
	if err != nil {
		return Config{}, fmt.Errorf("configuration: this machine's name: %w", err)
	}
	def := Default(hostname, stateDir(os.Geteuid(), os.Getenv))
	if path == "" {
		return def, errors.Join(def.Validate(), checkDataDir(def.DataDir))
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w (give a file that exists with --config, or none for the defaults)", err)
	}
	c, err := Parse(text, def)
	if err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	if !filepath.IsAbs(c.DataDir) {
		c.DataDir = filepath.Join(filepath.Dir(path), c.DataDir)
	}
	if err := checkDataDir(c.DataDir); err != nil {
		return Config{}, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

// checkDataDir refuses a path at which no directory can be: every use of it would fail in words of its own. What cannot be
// seen now may be a directory, and is left to who uses it.
func checkDataDir(dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("data_dir = %q: a part of this path is a file: name a directory, which is made when it is not there", dir)
	}
	if err == nil && !info.IsDir() {
		return fmt.Errorf("data_dir = %q is a file: name a directory, which is made when it is not there", dir)
	}
	return nil
}

// stateDir is where a node's data lies when nothing else is said: the system's place for root,
// the user's own otherwise.
func stateDir(uid int, getenv func(string) string) string {
	if uid == 0 {
		return "/var/lib/porcupine"
	}
	if d := getenv("XDG_STATE_HOME"); d != "" {
		return filepath.Join(d, "porcupine")
	}
	return filepath.Join(getenv("HOME"), ".local", "state", "porcupine")
}

// Parse reads TOML text over the defaults, strictly, and validates the result.
func Parse(text []byte, def Config) (Config, error) {
	var c Config
	dec := toml.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return Config{}, explain(err)
	}
	fill(reflect.ValueOf(&c).Elem(), reflect.ValueOf(&def).Elem())
	return c, c.Validate()
}

func explain(err error) error {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) {
		var names []string
		for _, e := range unknown.Errors {
			row, _ := e.Position()
			names = append(names, fmt.Sprintf("%s (line %d)", nameOf(e.Key()), row))
		}
		return fmt.Errorf("no such field: %s ('porcupine config' lists them all)", strings.Join(names, ", "))
	}
	var at *toml.DecodeError
	if errors.As(err, &at) {
		row, col := at.Position()
		if len(at.Key()) == 0 { // the line did not get so far as to name one
			return fmt.Errorf("line %d, column %d: %w: write NAME = VALUE, or [NAME] above the fields of a table", row, col, err)
		}
		return fmt.Errorf("line %d, column %d, field %s: %w", row, col, nameOf(at.Key()), err)
	}
	return err
}

// nameOf writes a field's name as it stands in the file: quoted parts, and empty ones, in quotes.
func nameOf(key []string) string {
	parts := make([]string, len(key))
	for i, part := range key {
		if parts[i] = part; part == "" || strings.ContainsAny(part, ". \t\"'") {
			parts[i] = strconv.Quote(part)
		}
	}
	return strings.Join(parts, ".")
}

// fill replaces each zero field by its default: zero never means unlimited.
func fill(c, def reflect.Value) {
	for i := range c.NumField() {
		switch f := c.Field(i); {
		case f.Kind() == reflect.Struct:
			fill(f, def.Field(i))
		case f.IsZero():
			f.Set(def.Field(i))
		}
	}
}

// Validate reports the first field that cannot work.
func (c *Config) Validate() error {
	for _, l := range c.listens() {
		if l.addr == Off && l.mayBeOff {
			continue
		}
		if _, _, err := net.SplitHostPort(l.addr); err != nil {
			return fmt.Errorf("%s = %q: write HOST:PORT, :PORT or \"off\" (%w)", l.field, l.addr, err)
		}
	}
	for _, p := range c.Cluster.Peers {
		if host, _, err := net.SplitHostPort(p); err != nil || host == "" {
			return fmt.Errorf("cluster.peers: %q: write HOST:PORT", p)
		}
	}
	if err := checkMachine(c.Machine); err != nil {
		return err
	}
	if (c.TLS.Certificate == "") != (c.TLS.Key == "") {
		return errors.New("tls: give both certificate and key, or neither")
	}
	for _, r := range c.ranges() {
		if r.value < r.min || r.value > r.max {
			return fmt.Errorf("%s = %d: must be between %d and %d", r.field, r.value, r.min, r.max)
		}
	}
	for _, d := range c.durations() {
		if d.value < 0 {
			return fmt.Errorf("%s: must not be negative", d.field)
		}
	}
	if c.SMTP.SpoolMax < spoolMessagesMin*c.SMTP.MessageSizeMax {
		return fmt.Errorf("smtp.spool_max = %d: must be at least %d times smtp.message_size_max, which is %d, so that one network's quarter of it holds a message",
			c.SMTP.SpoolMax, spoolMessagesMin, c.SMTP.MessageSizeMax)
	}
	if c.Cluster.MinCopies > c.Cluster.MessageCopies {
		return fmt.Errorf("cluster.min_copies = %d: must not be more than cluster.message_copies (%d), or no mail could come in",
			c.Cluster.MinCopies, c.Cluster.MessageCopies)
	}
	if c.Cluster.SuspectAfter < 2*c.Cluster.PingInterval {
		return errors.New("cluster.suspect_after: must be at least twice ping_interval, or one lost packet is a dead node")
	}
	if r := c.Cluster.ReplyTimeout; r < replyTimeoutMin || r > replyTimeoutMax {
		return fmt.Errorf("cluster.reply_timeout = %v: must be between %v and %v: with less no answer comes in time, with more everybody waits when a node dies; if nodes are taken for dead that are only slow, raise suspect_after",
			r.D(), replyTimeoutMin.D(), replyTimeoutMax.D())
	}
	if _, _, err := parseWindow(string(c.Upkeep.Rebalance)); err != nil {
		return fmt.Errorf("upkeep.rebalance: %w", err)
	}
	if c.Upkeep.Grace < max(graceMin, 2*c.Upkeep.RepairAfter) {
		return fmt.Errorf("upkeep.grace: must be at least %v, so that a node may be started again, and twice repair_after: what it held is copied before it is given up",
			graceMin.D())
	}
	return c.Log.validate()
}

// spoolMessagesMin is how many of the largest messages smtp.spool_max has room for, at least.
const spoolMessagesMin = 5

// Bounds of cluster.reply_timeout.
const (
	replyTimeoutMin = Duration(50 * time.Millisecond)
	replyTimeoutMax = Duration(10 * time.Second)
)

// machineLengthMax is the length in bytes of the longest name of a machine.
const machineLengthMax = 64

// checkMachine refuses names that two people would read alike and nodes would not.
func checkMachine(name string) error {
	unprintable := func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
	if len(name) > machineLengthMax || strings.TrimSpace(name) != name || strings.ContainsFunc(name, unprintable) {
		return fmt.Errorf("machine = %q: write at most %d bytes that can be printed, without spaces around them, and the same on all nodes of the machine", name, machineLengthMax)
	}
	return nil
}

// graceMin is the shortest time after which a node may be given up for good.
const graceMin = Duration(10 * time.Minute)

func (l *Log) validate() error {
	if l.Format != "text" && l.Format != "json" {
		return fmt.Errorf("log.format = %q: write text or json", l.Format)
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		return fmt.Errorf("log.level = %q: write debug, info, warn or error", l.Level)
	}
	return nil
}

type listen struct {
	field, addr string
	mayBeOff    bool
}

func (c *Config) listens() []listen {
	return []listen{
		{"cluster.listen", c.Cluster.Listen, false},
		{"smtp.listen", c.SMTP.Listen, true},
		{"smtp.lmtp_listen", c.SMTP.LMTPListen, true},
		{"smtp.submission_listen", c.SMTP.SubmissionListen, true},
		{"smtp.submissions_listen", c.SMTP.SubmissionsListen, true},
		{"pop3.listen", c.POP3.Listen, true},
		{"pop3.tls_listen", c.POP3.TLSListen, true},
		{"imap.listen", c.IMAP.Listen, true},
		{"imap.tls_listen", c.IMAP.TLSListen, true},
		{"http.listen", c.HTTP.Listen, true},
	}
}

type intRange struct {
	field           string
	value, min, max int64
}

func (c *Config) ranges() []intRange {
	return []intRange{
		{"cluster.message_copies", int64(c.Cluster.MessageCopies), 1, 8},
		{"cluster.min_copies", int64(c.Cluster.MinCopies), 1, 8},
		{"cluster.profile_copies", int64(c.Cluster.ProfileCopies), 1, 8},
		{"cluster.spread", int64(c.Cluster.Spread), 1, 64},
		{"smtp.recipients_max", int64(c.SMTP.RecipientsMax), 1, 10_000},
		{"smtp.message_size_max", int64(c.SMTP.MessageSizeMax), 64 << 10, 1 << 30},
		{"smtp.spool_max", int64(c.SMTP.SpoolMax), 1 << 20, 1 << 50},
		{"auth.derivations", int64(c.Auth.Derivations), 1, 64},
		{"auth.scram_iterations", int64(c.Auth.SCRAMIterations), -1 << 31, 10_000_000},
		{"store.min_free", int64(c.Store.MinFree), 16 << 20, 1 << 50},
		{"store.cache", int64(c.Store.Cache), 1 << 20, 1 << 40},
		{"imap.index_memory", int64(c.IMAP.IndexMemory), 1 << 20, 1 << 40},
		{"upkeep.repair_rate", int64(c.Upkeep.RepairRate), 1, 1_000_000},
		{"upkeep.repair_bytes", int64(c.Upkeep.RepairBytes), 64 << 10, 1 << 40},
		{"upkeep.rebalance_rate", int64(c.Upkeep.RebalanceRate), 1, 1_000_000},
		{"limits.connections", int64(c.Limits.Connections), 1, 1_000_000},
		{"limits.connections_per_ip", int64(c.Limits.ConnectionsPerIP), 1, 1_000_000},
		{"limits.mailbox_messages", c.Limits.MailboxMessages, 1, 1 << 40},
		{"limits.mailbox_bytes", int64(c.Limits.MailboxBytes), 1 << 20, 1 << 60},
	}
}

func (c *Config) durations() []struct {
	field string
	value Duration
} {
	return []struct {
		field string
		value Duration
	}{
		{"cluster.ping_interval", c.Cluster.PingInterval}, {"cluster.suspect_after", c.Cluster.SuspectAfter},
		{"cluster.reply_timeout", c.Cluster.ReplyTimeout}, {"cluster.probe_interval", c.Cluster.ProbeEvery},
		{"smtp.command_timeout", c.SMTP.CommandTimeout}, {"smtp.data_timeout", c.SMTP.DataTimeout},
		{"pop3.idle_timeout", c.POP3.IdleTimeout}, {"imap.idle_timeout", c.IMAP.IdleTimeout}, {"auth.cache_ttl", c.Auth.CacheTTL},
		{"limits.shutdown_grace", c.Limits.ShutdownGrace},
		{"upkeep.repair_after", c.Upkeep.RepairAfter}, {"upkeep.grace", c.Upkeep.Grace},
		{"upkeep.compare_every", c.Upkeep.CompareEvery}, {"upkeep.scrub_every", c.Upkeep.ScrubEvery},
	}
}
