package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"porcupine/internal/config"
	"porcupine/internal/daemon"
)

// try runs one command line with that standard input, from a pipe.
func try(t *testing.T, stdin string, args ...string) (code int, out, errOut string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	go func() {
		defer w.Close()
		_, _ = w.WriteString(stdin) // a command need not read it
	}()
	var b, eb bytes.Buffer
	code = run(&env{ctx: t.Context(), in: r, out: &b, errOut: &eb}, args)
	return code, b.String(), eb.String()
}

// Every command parses with what it needs, and none takes a password on the command line.
func TestGrammar(t *testing.T) {
	lines := []string{
		"serve", "serve --config x.toml", "init", "token", "join", "status", "status --json", "node list", "node remove 00000000000000aa", "node remove 00000000000000aa --fewer-copies", "node drain 00000000000000aa --wait --fewer-copies", "node drain 00000000000000aa --cancel",
		"verify", "verify --contents --wait 5s --json",
		"dev", "dev --nodes 5 --dir d --port-base 20000 --users 3", "dev --add --dir d",
		"user add a@x.example", "user list", "user show a@x.example", "user passwd a@x.example", "user remove a@x.example",
		"user set a@x.example --quota-bytes 5GiB --quota-messages 10 --disable", "user set a@x.example --enable", "user set a@x.example --copies 3",
		"vault list a@x.example --since 2h", "vault restore a@x.example 00ff 11ff", "vault restore a@x.example --all --since 2026-01-31",
		"domain add x.example", "domain add x.example --postmaster a@x.example --catch-all a@x.example",
		"domain set x.example --copies 2", "domain list", "domain remove x.example",
		"alias add i@x.example a@x.example b@x.example", "alias list", "alias remove i@x.example",
		"backup --to d", "backup --to d --keep 3 --config x.toml", "backup verify d",
		"restore --from d", "restore --from d --user a@x.example --dry-run --before 2026-01-31T12:00:00Z --other-cluster --rate 1MiB --work w",
		"store reinject d --dry-run", "store verify", "store dump", "config", "version", "help", "help user add", "eval list", "eval skew single --quick --out d", "bench --smtp 127.0.0.1:25 --pop3 127.0.0.1:110 -c 4 -d 1s", "bench imap login --imap 127.0.0.1:143",
		"import --user a@x.example in.mbox", "import --user a@x.example --format maildir --folder Work d", "import --user a@x.example --format mbox -",
		"import --user a@x.example --format imap --remote-user a --password-env P --starttls --tls-insecure imaps://old.example",
		"export --user a@x.example d", "export --user a@x.example --format maildir d", "export --user a@x.example --folder Work --format mbox work.mbox", "export --user a@x.example --folder Work -",
	}
	seen := map[string]bool{}
	for _, line := range lines {
		var c cli
		parser, err := kong.New(&c)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parser.Parse(strings.Fields(line))
		if err != nil {
			t.Errorf("porcupine %s = %v", line, err)
			continue
		}
		seen[strings.SplitN(parsed.Command(), " <", 2)[0]] = true
	}
	var c cli
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range parser.Model.Leaves(true) {
		name := strings.TrimPrefix(leaf.FullPath(), parser.Model.Name+" ")
		if !seen[name] {
			t.Errorf("no line of this test parses %q", name)
		}
		if leaf.Help == "" {
			t.Errorf("%q has no help", name)
		}
		for _, f := range leaf.Flags {
			if strings.Contains(f.Name, "password") && f.Name != "password-env" {
				t.Errorf("%q takes a password on the command line: --%s", name, f.Name)
			}
			if f.Help == "" {
				t.Errorf("%q: --%s has no help", name, f.Name)
			}
		}
	}
}

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "c.toml")
	if err := os.WriteFile(conf, []byte("data_dir = \"data\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	aFile := filepath.Join(dir, "file.toml")
	if err := errors.Join(os.WriteFile(aFile, []byte("data_dir = \"plain\"\n"), 0o600), os.WriteFile(filepath.Join(dir, "plain"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	maildir := filepath.Join(dir, "home", "Maildir")
	for _, part := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(maildir, part), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		args  string
		stdin string
		code  int
		want  string // in what it prints, either way
	}{
		{"version", "", 0, "porcupine " + daemon.Version() + " (go"},
		{"--version", "", 0, "porcupine " + daemon.Version() + " (go"},
		{"user --version", "", 0, "porcupine " + daemon.Version() + " (go"},
		{"help", "", 0, "user add <address>"},
		{"--help", "", 0, "user add <address>"},
		{"help user", "", 0, "user passwd <address>"},
		{"help user add", "", 0, "Usage: porcupine user add <address>"},
		{"user add --help", "", 0, "Usage: porcupine user add <address>"},
		{"help frobnicate", "", exitUsage, "unexpected argument frobnicate"},
		{"config", "", 0, "[cluster]"},
		{"", "", exitUsage, "A highly available mail server"},
		{"frobnicate", "", exitUsage, "--help"},
		{"user add", "", exitUsage, "<address>"},
		{"user set a@x --disable --enable", "", exitUsage, "can't be used together"},
		{"user set a@x --quota-bytes lots", "", exitUsage, "write a whole number and a unit"},
		{"user set a@x --quota-bytes -5GiB", "", exitUsage, "must not be negative: write a whole number and a unit"},
		{"user set a@x --quota-messages -5", "", exitUsage, "--quota-messages -5: write a number of 0 or more; 0: the cluster's limit"},
		{"user set a@x --copies -1", "", exitUsage, "--copies -1: write a number from 0 to 8; 0: the domain's"},
		{"user add a@x --copies 9", "", exitUsage, "--copies 9: write a number from 1 to 8, or leave it out"},
		{"domain add x --copies -1", "", exitUsage, "--copies -1: write a number from 0 to 8"},
		{"domain set x --copies 9", "", exitUsage, "--copies 9: write a number from 0 to 8"},
		{"backup --to d --keep -1", "", exitUsage, "--keep -1: write a number from 1 to 1000"},
		{"restore --from d --rate -1MiB", "", exitUsage, "must not be negative"},
		{"verify --wait -5s", "", exitUsage, "--wait -5s: write a time above 0"},
		{"dev --nodes -1", "", exitFailed, "--nodes -1: from 1 to 9"},
		{"dev --users -5", "", exitFailed, "--users -5: from 0 to"},
		{"bench --smtp 127.0.0.1:1 --pop3 127.0.0.1:1 -c -4", "", 2, "workers = -4: want 1 to"},
		{"user set a@x --config " + conf, "", exitFailed, "nothing to change"},
		{"user set a@x --disable --config " + conf, "", exitFailed, "porcupine serve"},
		{"user add a@x --config " + conf, "\n", exitFailed, "no password given"},
		{"user add nonsense --config " + conf, "", exitFailed, "no @ after the local part: write name@domain, for example ann@example.org"},
		{"user passwd nonsense --config " + conf, "", exitFailed, "write name@domain, for example ann@example.org"},
		{"user add a@x --config " + conf, strings.Repeat("p", passwordMax+1), exitFailed, "that is no password"},
		{"user add a@x --config " + conf, "secret\n", exitFailed, "porcupine serve"},
		{"vault restore a@x --config " + conf, "", exitFailed, "their ids, or --all"},
		{"vault restore a@x 00ff --all --config " + conf, "", exitFailed, "their ids, or --all"},
		{"vault restore a@x 00ff --since 2h --config " + conf, "", exitFailed, "goes with --all"},
		{"vault list a@x --since yesterday --config " + conf, "", exitUsage, "how long ago"},
		{"vault list a@x --config " + conf, "", exitFailed, "porcupine serve"},
		{"user show a@x --config " + conf, "", exitFailed, "porcupine serve"},
		{"domain list --config " + conf, "", exitFailed, "porcupine serve"},
		{"alias list --config " + conf, "", exitFailed, "porcupine serve"},
		{"token --config " + conf, "", exitFailed, "porcupine serve"},
		{"status --config " + conf, "", exitFailed, "porcupine serve"},
		{"verify --config " + conf, "", exitUnknown, "porcupine serve"},
		{"node drain 00000000000000aa --config " + conf, "", exitFailed, "porcupine serve"},
		{"store verify --config " + conf, "", exitFailed, "holds no node"},
		{"store dump --config " + conf, "", exitFailed, "holds no node"},
		{"import --user a@x --config " + conf + " " + conf, "", exitFailed, "porcupine serve"},
		{"import --user a@x --format imap --config " + conf + " imaps://old.example", "", exitFailed, "--remote-user"},
		{"import --user a@x --format imap --config " + conf + " old.example", "", exitFailed, "imaps://HOST"},
		{"import --user a@x --config " + conf + " imaps://old.example", "", exitFailed, "--remote-user"},
		{"export --user a@x --config " + conf + " " + dir, "", exitFailed, "porcupine serve"},
		{"export --user a --config " + conf + " " + dir, "", exitFailed, "name@domain"},
		{"export --user a@x --folder INBOX --config " + conf + " " + dir, "", exitFailed, "is a directory: with --folder, name the file"},
		{"export --user a@x --folder INBOX --config " + conf + " " + conf, "", exitFailed, "remove it to have the folder written again, or name another file"},
		{"export --user a@x --config " + conf + " " + conf, "", exitFailed, "is a file: name a directory"},
		{"export --user a@x --format maildir --config " + conf + " " + conf, "", exitFailed, "is a file: name a directory for the Maildir"},
		{"export --user a@x --config " + conf + " -", "", exitFailed, "standard output takes one folder: name it with --folder"},
		{"export --user a@x --folder INBOX --format maildir --config " + conf + " -", "", exitFailed, "cannot go to standard output"},
		{"export --user a@x --folder INBOX --config " + conf + " -", "", exitFailed, "porcupine serve"},
		{"serve --config " + conf, "", exitFailed, "porcupine init"},
		{"serve --config " + filepath.Join(dir, "none"), "", exitFailed, "--config"},
		{"join --config " + conf, "not a token\n", exitFailed, "porcupine token"},
		{"join --config " + conf, "", exitFailed, "nothing on standard input"},
		{"join --config " + conf, " \n", exitFailed, "nothing on standard input"},
		{"dev --add --dir " + filepath.Join(dir, "no-cluster"), "", exitFailed, "there is no cluster in "},
		{"dev --nodes 0", "", exitFailed, "from 1 to"},
		{"bench --smtp 192.0.2.1:25 --pop3 192.0.2.1:110", "", 2, "bench:"},
		{"init --config " + aFile, "", exitFailed, "plain\" is a file: name a directory"},
		{"serve --config " + aFile, "", exitFailed, "plain\" is a file: name a directory"},
		{"status --config " + aFile, "", exitFailed, "plain\" is a file: name a directory"},
		{"import --user a@x --config " + conf + " " + filepath.Dir(maildir), "", exitFailed, "it is no Maildir: name one, or a file in mbox format"},
		{"import --user a@x --format mbox --config " + conf + " " + maildir, "", exitFailed, "is a directory: name a file in mbox format, or leave --format out"},
		{"import --user a@x --format pst --config " + conf + " " + maildir, "", exitUsage, "mbox"},
		{"import --user a@x --config " + conf + " " + filepath.Join(dir, "none"), "", exitFailed, "no such file"},
		{"import --user a@x --format maildir --config " + conf + " " + conf, "", exitFailed, "is a file: leave --format out if it is in mbox format"},
		{"import --user a@x --format maildir --config " + conf + " " + filepath.Dir(maildir), "", exitFailed, "it is no Maildir"},
		{"import --user a@x --format maildir --config " + conf + " " + maildir, "", exitFailed, "porcupine serve"},
		{"import --user a@x --config " + conf + " " + maildir, "", exitFailed, "porcupine serve"},
		{"init --config " + conf, "", 0, "porcupine serve --config " + conf},
		{"init --config " + conf, "", exitFailed, "belongs to a node already"},
		{"store verify --config " + conf, "", 0, "0 faults"},
		{"status --config " + conf, "", exitFailed, "porcupine serve"},
	}
	for _, tt := range tests {
		code, out, errOut := try(t, tt.stdin, strings.Fields(tt.args)...)
		if code != tt.code || !strings.Contains(out+errOut, tt.want) {
			t.Errorf("porcupine %s = %d, %q, %q; want %d with %q", tt.args, code, out, errOut, tt.code, tt.want)
		}
		if code != 0 && out != "" {
			t.Errorf("porcupine %s failed and printed %q to standard output", tt.args, out)
		}
	}
}

// A password from a pipe: one line, with or without its end, blanks kept.
func TestPasswordFromAPipe(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"secret\n", "secret"}, {"secret\r\n", "secret"}, {"secret", "secret"}, {" se cret \nmore\n", " se cret "},
		{"pässwörd\n", "pässwörd"}, {strings.Repeat("p", passwordMax-1) + "\n", strings.Repeat("p", passwordMax-1)},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.WriteString(tt.in); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := (&env{in: r}).password("Password")
		if got != tt.want || err != nil {
			t.Errorf("password of %q = %q, %v, want %q", tt.in, got, err, tt.want)
		}
		r.Close()
	}
}

func TestQuotaText(t *testing.T) {
	var c userSetCmd
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"a@x.example", "--quota-bytes", "0", "--quota-messages", "0"}); err != nil {
		t.Fatal(err)
	}
	if c.QuotaBytes == nil || *c.QuotaBytes != config.Size(0) || c.QuotaMessages == nil {
		t.Errorf("0 means back to the cluster's limit, and must not be taken for nothing: %+v", c)
	}
}
