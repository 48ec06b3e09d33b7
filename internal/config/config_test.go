package config

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func def() Config { return Default("host.example", "/var/lib/porcupine") }

func TestDefaultsAreValidAndComplete(t *testing.T) {
	d := def()
	if err := d.Validate(); err != nil {
		t.Fatalf("Default().Validate() = %v", err)
	}
	if d.Auth.AllowPlaintext {
		t.Error("the defaults permit logins in clear")
	}
	may := map[string]bool{"Advertise": true, "Peers": true, "Certificate": true, "Key": true, "AllowPlaintext": true, "Compress": true, "Machine": true}
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Tag.Get("doc") == "" || f.Tag.Get("toml") == "" {
				t.Errorf("field %s has no doc or toml tag", f.Name)
			}
			if f.Type.Kind() == reflect.Struct {
				walk(v.Field(i))
			} else if v.Field(i).IsZero() && !may[f.Name] {
				t.Errorf("field %s has no default", f.Name) // attack table, row 26: no limit is off by default
			}
		}
	}
	walk(reflect.ValueOf(d))
}

// Attack table, row 26: a limit that is absent or zero is its default, not unlimited.
func TestAttack26_ZeroMeansDefault(t *testing.T) {
	got, err := Parse([]byte("[smtp]\nmessage_size_max = \"0B\"\nrecipients_max = 0\n[limits]\nconnections = 0\n"), def())
	if err != nil {
		t.Fatalf("Parse = %v", err)
	}
	if diff := cmp.Diff(def(), got); diff != "" {
		t.Errorf("zero fields differ from the defaults (-want +got):\n%s", diff)
	}
}

func TestParse(t *testing.T) {
	tests := []struct {
		name, text string
		check      func(Config) bool
		err        string // part of the error wanted
	}{
		{"empty", "", func(c Config) bool { return c.SMTP.Listen == ":25" }, ""},
		{"machine", "machine = \"rack 2, höchster Platz\"", func(c Config) bool { return c.Machine == "rack 2, höchster Platz" }, ""},
		{"machine of two lines", "machine = \"a\\nb\"", nil, "bytes that can be printed"},
		{"machine with a space that nobody sees", "machine = \"a \"", nil, "without spaces around them"},
		{"long machine", "machine = \"" + strings.Repeat("a", 65) + "\"", nil, "at most 64 bytes"},
		{"duration", "[cluster]\nping_interval = \"50ms\"", func(c Config) bool { return c.Cluster.PingInterval.D() == 50*time.Millisecond }, ""},
		{"size", "[store]\nmin_free = \"20GiB\"", func(c Config) bool { return c.Store.MinFree == 20<<30 }, ""},
		{"off", "[pop3]\nlisten = \"off\"", func(c Config) bool { return c.POP3.Listen == Off }, ""},
		{"unknown field", "[smtp]\nlisten_on = \":25\"", nil, "no such field: smtp.listen_on (line 2)"},
		{"empty name", "[smtp]\n\"\" = 1", nil, "no such field: smtp.\"\" (line 2)"},
		{"no name", "= 1", nil, "write NAME = VALUE"},
		{"unknown table", "[imap2]\nx = 1", nil, "no such field: imap2"},
		{"bad duration", "[cluster]\nping_interval = \"soon\"", nil, "write a number and a unit"},
		{"bad size", "[store]\nmin_free = \"lots\"", nil, "write a whole number and a unit"},
		{"negative size", "[store]\nmin_free = \"-1GiB\"", nil, "must not be negative: write a whole number and a unit"},
		{"huge size", "[store]\nmin_free = \"99999999999TiB\"", nil, "write a whole number and a unit"},
		{"bad listen", "[smtp]\nlisten = \"25\"", nil, "smtp.listen = \"25\": write HOST:PORT"},
		{"cluster off", "[cluster]\nlisten = \"off\"", nil, "cluster.listen"},
		{"bad peer", "[cluster]\npeers = [\":25\"]", nil, "cluster.peers"},
		{"half TLS", "[tls]\nkey = \"k.pem\"", nil, "both certificate and key"},
		{"three copies", "[cluster]\nmessage_copies = 3\nmin_copies = 2", func(c Config) bool { return c.Cluster.MessageCopies == 3 && c.Cluster.MinCopies == 2 }, ""},
		{"one copy", "[cluster]\nmessage_copies = 1", func(c Config) bool { return c.Cluster.MessageCopies == 1 }, ""},
		{"too many copies", "[cluster]\nmessage_copies = 9", nil, "must be between 1 and 8"},
		{"more demanded than made", "[cluster]\nmin_copies = 3", nil, "must not be more than cluster.message_copies (2)"},
		{"no vault", "[store]\nvault_for = \"off\"", func(c Config) bool { _, on := c.Store.VaultFor.Time(); return !on }, ""},
		{"vault", "[store]\nvault_for = \"240h\"", func(c Config) bool {
			d, on := c.Store.VaultFor.Time()
			return on && d == 240*time.Hour
		}, ""},
		{"vault of no time", "[store]\nvault_for = \"0s\"", func(c Config) bool { return c.Store.VaultFor == Term(72*time.Hour) }, ""},
		{"negative vault", "[store]\nvault_for = \"-1h\"", nil, "is negative"},
		{"bad vault", "[store]\nvault_for = \"soon\"", nil, "or \"off\""},
		{"upkeep", "[upkeep]\nrebalance = \"always\"\nrepair_after = \"10s\"", func(c Config) bool {
			_, length := c.Upkeep.Rebalance.Times()
			return length == 24*time.Hour && c.Upkeep.RepairAfter.D() == 10*time.Second
		}, ""},
		{"upkeep window", "[upkeep]\nrebalance = \"at night\"", nil, "02:00-05:00"},
		{"upkeep rate", "[upkeep]\nrepair_rate = -1", nil, "must be between"},
		{"short grace", "[upkeep]\ngrace = \"15m\"\nrepair_after = \"10m\"", nil, "twice repair_after"},
		{"shorter than a restart", "[upkeep]\ngrace = \"2s\"\nrepair_after = \"1s\"", nil, "at least 10m0s"},
		{"range", "[smtp]\nrecipients_max = 1000000", nil, "must be between"},
		{"small spool", "[smtp]\nspool_max = \"249MiB\"", nil, "smtp.spool_max = 261095424: must be at least 5 times smtp.message_size_max"},
		{"spool", "[smtp]\nspool_max = \"250MiB\"", func(c Config) bool { return c.SMTP.SpoolMax == 250<<20 }, ""},
		{"largest messages", "[smtp]\nmessage_size_max = \"1GiB\"", func(c Config) bool { return c.SMTP.SpoolMax == 5<<30 }, ""},
		{"nervous", "[cluster]\nsuspect_after = \"200ms\"", nil, "at least twice ping_interval"},
		{"patient", "[cluster]\nreply_timeout = \"5s\"", func(c Config) bool { return c.Cluster.ReplyTimeout.D() == 5*time.Second }, ""},
		{"too patient", "[cluster]\nreply_timeout = \"11s\"", nil, "cluster.reply_timeout = 11s: must be between 50ms and 10s"},
		{"impatient", "[cluster]\nreply_timeout = \"1ms\"", nil, "raise suspect_after"},
		{"level", "[log]\nlevel = \"chatty\"", nil, "write debug, info"},
		{"format", "[log]\nformat = \"xml\"", nil, "write text or json"},
		{"not TOML", "data_dir: /x", nil, "line 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse([]byte(tt.text), def())
			switch {
			case tt.err == "" && err != nil:
				t.Fatalf("Parse(%q) = %v", tt.text, err)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Fatalf("Parse(%q) = %v, want an error with %q", tt.text, err, tt.err)
			case tt.check != nil && !tt.check(c):
				t.Errorf("Parse(%q) = %+v", tt.text, c)
			}
		})
	}
}

func TestExampleReadsBackAsTheDefaults(t *testing.T) {
	var b bytes.Buffer
	if err := Example(&b, def()); err != nil {
		t.Fatal(err)
	}
	var live []string // the same file with every field uncommented
	for line := range strings.Lines(b.String()) {
		if rest, ok := strings.CutPrefix(line, "# "); ok && strings.Contains(rest, " = ") && !strings.Contains(strings.SplitN(rest, " = ", 2)[0], " ") {
			line = rest
		}
		live = append(live, line)
	}
	for name, text := range map[string]string{"commented": b.String(), "live": strings.Join(live, "")} {
		got, err := Parse([]byte(text), def())
		if err != nil {
			t.Fatalf("%s example: %v\n%s", name, err, text)
		}
		if len(got.Cluster.Peers) == 0 {
			got.Cluster.Peers = nil
		}
		if diff := cmp.Diff(def(), got); diff != "" {
			t.Errorf("%s example (-want +got):\n%s", name, diff)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "porcupine.toml")
	if err := os.WriteFile(path, []byte("data_dir = \"data\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, "data"); c.DataDir != want {
		t.Errorf("DataDir = %q, want %q: relative to the file", c.DataDir, want)
	}
	if _, err := Load(filepath.Join(dir, "none.toml")); err == nil || !strings.Contains(err.Error(), "--config") {
		t.Errorf("Load of a missing file = %v", err)
	}
	if _, err := Load(""); err != nil {
		t.Errorf("Load without a file = %v", err)
	}
}

// A data directory that cannot be one is said to be so at once, whatever the command is.
func TestDataDirIsNoFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "porcupine.toml")
	for dataDir, want := range map[string]string{
		"porcupine.toml":      "is a file: name a directory",
		"porcupine.toml/data": "a part of this path is a file",
		"none":                "",
		".":                   "",
	} {
		if err := os.WriteFile(path, fmt.Appendf(nil, "data_dir = %q\n", dataDir), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("Load with data_dir %q = %v, want %q", dataDir, err, want)
		}
	}
}

func TestStateDir(t *testing.T) {
	env := func(m map[string]string) func(string) string { return func(k string) string { return m[k] } }
	tests := []struct {
		uid  int
		env  map[string]string
		want string
	}{
		{0, nil, "/var/lib/porcupine"},
		{1000, map[string]string{"HOME": "/home/a"}, "/home/a/.local/state/porcupine"},
		{1000, map[string]string{"HOME": "/home/a", "XDG_STATE_HOME": "/x"}, "/x/porcupine"},
	}
	for _, tt := range tests {
		if got := stateDir(tt.uid, env(tt.env)); got != tt.want {
			t.Errorf("stateDir(%d, %v) = %q, want %q", tt.uid, tt.env, got, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "[smtp]\nlisten = \":25\"", "data_dir = \"x\"\n[log]\nlevel=\"debug\"", "[cluster]\nping_interval = \"1ns\"", "[store]\nmin_free=\"1TiB\""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse(text, def())
		if err == nil && c.Validate() != nil {
			t.Errorf("Parse(%q) gave a configuration that is not valid", text)
		}
	})
}
