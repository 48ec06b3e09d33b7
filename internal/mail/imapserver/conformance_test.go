package imapserver_test

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver"
	"porcupine/internal/mail/imapserver/imaptest"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

// states are where a case of the conformance tables begins: commands that come before it.
var states = map[string][]string{
	"clear":  {},
	"auth":   {loginCommand},
	"inbox":  {loginCommand, "SELECT INBOX"},
	"ro":     {loginCommand, "EXAMINE INBOX"},
	"empty":  {loginCommand, "SELECT Sent"},
	"rev2":   {loginCommand, "ENABLE IMAP4rev2"},
	"rev2in": {loginCommand, "ENABLE IMAP4rev2", "SELECT INBOX"},
	"utf8":   {loginCommand, "ENABLE UTF8=ACCEPT"},
	"cond":   {loginCommand, "SELECT INBOX (CONDSTORE)"},
	"qre":    {loginCommand, "ENABLE QRESYNC"},
	"qrein":  {loginCommand, "ENABLE QRESYNC", "SELECT INBOX"},
	"qre0":   {loginCommand, "ENABLE QRESYNC", "SELECT Sent"},
	"quota":  {"!quota 4096 100", loginCommand},
	"bob":    {"LOGIN " + bob + ` "` + password + `"`},
}

const loginCommand = "LOGIN " + alice + ` "` + password + `"`

// standard is the mail that every case finds: INBOX has the UIDs 1, 2, 4 and 5.
func standard() *imaptest.Mail {
	m := newMail()
	at := func(day int) time.Time { return time.Date(2026, 1, day, 8, 30, 0, 0, time.FixedZone("", 3600)) }
	m.Deliver(alice, "INBOX", plain, at(1), mail.FlagSeen)
	m.Deliver(alice, "INBOX", mixed, at(2))
	m.Deliver(alice, "INBOX", plain, at(3))
	m.Deliver(alice, "INBOX", nested, at(4), mail.FlagFlagged, "$work")
	m.Deliver(alice, "INBOX", strange, at(5), mail.FlagDeleted)
	m.Remove(alice, "INBOX", 3)
	for _, f := range []struct{ name, use string }{{"Archive", `\Archive`}, {"Drafts", `\Drafts`}, {"Sent", `\Sent`}, {"Work", ""}, {"Work/2026", ""}, {"Grüße", ""}} {
		m.Create(alice, f.name, f.use)
	}
	m.Subscribe(alice, "INBOX", "Work/2026", "Gone")
	m.Deliver(bob, "INBOX", "Subject: for bob alone\r\n\r\nsecret\r\n", at(1))
	m.Create(bob, "Secret", "")
	m.Create(bob, "Secret/Deep", "")
	return m
}

// TestConformance plays the tables in testdata/conformance. A case is one line: where the rule stands, the
// state to begin in, and commands without tags, with " && " between them:
//
//	RFC 9051 §6.3.5 | auth | DELETE Work/2026 && LIST "" *
//
// The answers stand below it, indented; "go test -update" (make golden) writes them: read what it wrote. A
// command that begins with "!" is something that happens elsewhere (see outside), one that begins with "~" is sent
// without a tag, and one line is read.
func TestConformance(t *testing.T) {
	count := 0
	for _, file := range tables(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			var out bytes.Buffer
			lines := readTable(t, file)
			for i := 0; i < len(lines); {
				head := lines[i]
				fmt.Fprintln(&out, head)
				i++
				if !isCase(head) {
					continue
				}
				var want []string
				for ; i < len(lines) && strings.HasPrefix(lines[i], "\t"); i++ {
					want = append(want, lines[i][1:])
				}
				count++
				t.Run(head, func(t *testing.T) {
					got := playCase(t, head, standard())
					for _, l := range got {
						fmt.Fprintf(&out, "\t%s\n", l)
					}
					if !*update && !slices.Equal(got, want) {
						t.Errorf("answers:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
					}
				})
			}
			if *update {
				if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	t.Logf("%d cases", count)
}

// tables gives the files of the conformance tables.
func tables(t testing.TB) []string {
	files, err := filepath.Glob("testdata/conformance/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	return files
}

func readTable(t testing.TB, file string) []string {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// isCase reports whether a line of a table is a case, and not a comment or an answer.
func isCase(line string) bool {
	return line != "" && line[0] != '#' && line[0] != '\t'
}

// cases gives the cases of a table.
func cases(t testing.TB, file string) []string {
	return slices.DeleteFunc(readTable(t, file), func(l string) bool { return !isCase(l) })
}

// playCase plays one case and gives the answers.
func playCase(t *testing.T, head string, m *imaptest.Mail) (answers []string) {
	t.Helper()
	fields := strings.SplitN(head, " | ", 3)
	if len(fields) != 3 {
		t.Fatalf("case %q: want rule | state | commands", head)
	}
	before, ok := states[fields[1]]
	if !ok {
		t.Fatalf("case %q: no state %q", head, fields[1])
	}
	r := newRig(t, m, options{cfg: imapserver.Config{BadCommandsMax: 1000}})
	s := dialClient(t, r, m)
	for _, command := range before {
		if got := s.command("p", command); !strings.HasPrefix(command, "!") && !strings.HasPrefix(got[len(got)-1], "p OK") {
			t.Fatalf("%s: %s", command, got)
		}
	}
	for i, command := range strings.Split(fields[2], " && ") {
		answers = append(answers, s.command(strconv.Itoa(i+1), command)...)
	}
	s.c.Close()
	for _, l := range answers { // A1: nothing of bob's is shown, whatever the command
		if strings.Contains(l, "for bob alone") && fields[1] != "bob" {
			t.Errorf("alice is shown %q", l)
		}
	}
	return answers
}

// client is the client of a case.
type client struct {
	t testing.TB
	c net.Conn
	r *bufio.Reader
	m *imaptest.Mail
}

// dialClient connects a client, and hears the greeting.
func dialClient(t testing.TB, r *rig, m *imaptest.Mail) *client {
	t.Helper()
	c := r.dial()
	s := &client{t: t, c: c, r: bufio.NewReader(c), m: m}
	s.line()
	return s
}

// command sends a command and gives all answers up to the tagged one.
func (s *client) command(tag, text string) (answers []string) {
	s.t.Helper()
	if outside, ok := strings.CutPrefix(text, "!"); ok {
		s.outside(strings.Fields(outside))
		return nil
	}
	raw, untagged := strings.CutPrefix(unescape(s.t, text), "~")
	if !untagged {
		raw = tag + " " + raw
	}
	if _, err := s.c.Write([]byte(raw + "\r\n")); err != nil {
		s.t.Fatal(err)
	}
	for {
		l := s.line()
		answers = append(answers, l)
		if untagged || strings.HasPrefix(l, tag+" ") || strings.HasSuffix(l, "(end)") {
			return answers
		}
	}
}

var literalHead = regexp.MustCompile(`\{(\d+)\}$`)

// line reads a response, with its literals, as one line.
func (s *client) line() string {
	s.t.Helper()
	if err := s.c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		s.t.Fatal(err)
	}
	var all strings.Builder
	for {
		l, err := s.r.ReadString('\n')
		if err != nil {
			return all.String() + quoted(l) + "(end)"
		}
		l = strings.TrimSuffix(l, "\r\n")
		all.WriteString(quoted(l))
		m := literalHead.FindStringSubmatch(l)
		if m == nil {
			return all.String()
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			s.t.Fatal(err)
		}
		b := make([]byte, n)
		for at := 0; at < n; {
			k, err := s.r.Read(b[at:])
			if err != nil {
				return all.String() + quoted(string(b[:at])) + "(end)"
			}
			at += k
		}
		all.WriteString(`\r\n` + quoted(string(b)))
	}
}

// quoted makes one line of octets.
func quoted(s string) string {
	q := strconv.Quote(s)
	q = strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
	return strings.ReplaceAll(q, `\\`, `\`)
}

// outside is what happens without the client.
func (s *client) outside(words []string) {
	s.t.Helper()
	number := func(i int) int {
		n, err := strconv.Atoi(words[i])
		if err != nil {
			s.t.Fatal(err)
		}
		return n
	}
	switch words[0] {
	case "deliver": // folder
		s.m.Deliver(alice, words[1], plain, clock)
	case "remove": // folder, uid
		s.m.Remove(alice, words[1], mail.UID(number(2)))
	case "flags": // folder, uid, flags
		var flags []mail.Flag
		for _, f := range words[3:] {
			flags = append(flags, mail.Flag(f))
		}
		s.m.SetFlags(alice, words[1], mail.UID(number(2)), flags...)
	case "drop": // folder
		s.m.Drop(alice, words[1])
	case "quota": // octets, messages
		s.m.SetQuota(alice, int64(number(1)), int64(number(2)))
	case "fail": // method, kind
		kinds := map[string]cluster.Kind{"unavailable": cluster.KindUnavailable, "internal": cluster.KindInternal, "corrupt": cluster.KindCorrupt,
			"limit": cluster.KindLimit, "full": cluster.KindFull, "denied": cluster.KindDenied, "invalid": cluster.KindInvalid,
			"notfound": cluster.KindNotFound, "behind": cluster.KindBehind, "stale": cluster.KindStale}
		kind, ok := kinds[words[2]]
		if !ok {
			s.t.Fatal(words)
		}
		s.m.Fail(words[1], cluster.Errorf(kind, "test", "as the test says"))
	case "mend": // method
		s.m.Fail(words[1], nil)
	default:
		s.t.Fatal(words)
	}
}
