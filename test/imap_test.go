package test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"porcupine/internal/dev"
)

// imapTalk is an IMAP client that shows every octet: for what is looked at closely. It speaks in clear.
type imapTalk struct {
	conn net.Conn
	r    *bufio.Reader
	tag  int
	// patience is how long a reply may take.
	patience time.Duration
}

// imapRefusal is a tagged NO or BAD, or a BYE.
type imapRefusal struct{ command, reply string }

func (e *imapRefusal) Error() string { return fmt.Sprintf("imap %s: %s", e.command, e.reply) }

// openIMAP connects and logs in.
func openIMAP(addr, user string) (*imapTalk, error) {
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	c := &imapTalk{conn: conn, r: bufio.NewReader(conn), patience: clientPatience}
	err = c.conn.SetDeadline(time.Now().Add(c.patience))
	if err == nil {
		_, err = c.readLine()
	}
	if err == nil {
		_, err = c.ask("LOGIN " + user + " " + dev.Password)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func dialIMAP(t *testing.T, addr, user string) *imapTalk {
	t.Helper()
	c, err := openIMAP(addr, user)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.conn.Close() })
	return c
}

var literalAtEnd = regexp.MustCompile(`\{(\d+)\}\r\n$`)

// readLine reads one response, its literals inside it as they came.
func (c *imapTalk) readLine() (string, error) {
	var all strings.Builder
	for {
		text, err := c.r.ReadString('\n')
		if err != nil {
			return all.String() + text, err
		}
		all.WriteString(text)
		found := literalAtEnd.FindStringSubmatch(text)
		if found == nil {
			return strings.TrimSuffix(all.String(), "\r\n"), nil
		}
		n, err := strconv.Atoi(found[1])
		if err == nil {
			_, err = io.CopyN(&all, c.r, int64(n))
		}
		if err != nil {
			return all.String(), err
		}
	}
}

// ask sends a command, its literals after it, and reads until the tagged reply, which must be OK. It gives the
// untagged responses.
func (c *imapTalk) ask(command string, literals ...string) ([]string, error) {
	c.tag++
	tag := fmt.Sprintf("t%d", c.tag)
	if err := c.conn.SetDeadline(time.Now().Add(c.patience)); err != nil {
		return nil, err
	}
	text := tag + " " + command
	for _, l := range literals {
		if _, err := fmt.Fprintf(c.conn, "%s {%d}\r\n", text, len(l)); err != nil {
			return nil, err
		}
		reply, err := c.readLine()
		if err != nil {
			return nil, fmt.Errorf("imap %s: %w", command, err)
		}
		if !strings.HasPrefix(reply, "+") {
			return nil, &imapRefusal{command, reply}
		}
		text = l
	}
	if _, err := io.WriteString(c.conn, text+"\r\n"); err != nil {
		return nil, err
	}
	var untagged []string
	for {
		reply, err := c.readLine()
		if err != nil {
			return untagged, fmt.Errorf("imap %s: %w after %q", command, err, untagged)
		}
		if rest, ok := strings.CutPrefix(reply, tag+" "); ok {
			if !strings.HasPrefix(rest, "OK") {
				return untagged, &imapRefusal{command, rest}
			}
			return append(untagged, rest), nil
		}
		untagged = append(untagged, reply)
	}
}

// must wants OK.
func (c *imapTalk) must(t *testing.T, command string, literals ...string) []string {
	t.Helper()
	replies, err := c.ask(command, literals...)
	if err != nil {
		t.Fatal(err)
	}
	return replies
}

// refuses wants NO or BAD.
func (c *imapTalk) refuses(t *testing.T, command string, literals ...string) string {
	t.Helper()
	replies, err := c.ask(command, literals...)
	var refusal *imapRefusal
	if !errors.As(err, &refusal) {
		t.Errorf("%s: %q, %v, want NO", command, replies, err)
		return ""
	}
	return refusal.reply
}

// shown is a message as a client sees it.
type shown struct {
	uid   uint64
	id    string // EMAILID
	flags []string
	text  string
}

// subject is what a test knows a message by.
func (s shown) subject() string {
	_, rest, _ := strings.Cut(s.text, "Subject: ")
	subject, _, _ := strings.Cut(rest, "\r\n")
	return subject
}

var (
	fetchedUID   = regexp.MustCompile(`\bUID (\d+)`)
	fetchedID    = regexp.MustCompile(`\bEMAILID \(([^)]*)\)`)
	fetchedFlags = regexp.MustCompile(`\bFLAGS \(([^)]*)\)`)
	fetchedText  = regexp.MustCompile(`(?s)BODY\[\] \{(\d+)\}\r\n(.*)`)
	numberOf     = map[string]*regexp.Regexp{
		"UIDVALIDITY": regexp.MustCompile(`\[UIDVALIDITY (\d+)`), "UIDNEXT": regexp.MustCompile(`\[UIDNEXT (\d+)`),
		"APPENDUID": regexp.MustCompile(`\[APPENDUID \d+ (\d+)`), "HIGHESTMODSEQ": regexp.MustCompile(`\[HIGHESTMODSEQ (\d+)`),
	}
)

// number finds a response code's number, 0 if it is not there.
func number(replies []string, code string) uint64 {
	for _, r := range replies {
		if found := numberOf[code].FindStringSubmatch(r); found != nil {
			n, err := strconv.ParseUint(found[1], 10, 64)
			if err == nil {
				return n
			}
		}
	}
	return 0
}

// messages fetches all of the selected folder, by UID.
func (c *imapTalk) messages() ([]shown, error) {
	replies, err := c.ask("UID FETCH 1:* (FLAGS EMAILID BODY.PEEK[])")
	if err != nil {
		return nil, err
	}
	return parseFetched(replies)
}

// reachable is messages, but for a part of a cluster: of messages that lie on nodes that are away the text is empty.
func (c *imapTalk) reachable() ([]shown, error) {
	replies, err := c.ask("UID FETCH 1:* (FLAGS EMAILID)")
	if err != nil {
		return nil, err
	}
	all, err := parseFetched(replies)
	if err != nil {
		return nil, err
	}
	for i := range all {
		replies, err := c.ask(fmt.Sprintf("UID FETCH %d (FLAGS EMAILID BODY.PEEK[])", all[i].uid))
		var refusal *imapRefusal
		if errors.As(err, &refusal) && strings.HasPrefix(refusal.reply, "NO [UNAVAILABLE]") {
			continue
		}
		if err != nil {
			return nil, err
		}
		one, err := parseFetched(replies)
		if err != nil {
			return nil, err
		}
		for _, s := range one {
			if s.uid == all[i].uid && s.text != "" {
				all[i] = s
			}
		}
	}
	return all, nil
}

// parseFetched reads FETCH responses with UID, FLAGS, EMAILID, and perhaps the text.
func parseFetched(replies []string) (all []shown, err error) {
	for _, r := range replies {
		if !strings.Contains(r, " FETCH (") || !strings.Contains(r, "EMAILID") {
			continue
		}
		rest, s := r, shown{}
		if text := fetchedText.FindStringSubmatch(r); text != nil {
			size, sizeErr := strconv.Atoi(text[1])
			if sizeErr != nil || size > len(text[2]) {
				return nil, fmt.Errorf("imap: a message is cut short: %q", r)
			}
			s.text = text[2][:size]
			rest = strings.Replace(r, text[0], "", 1) + text[2][size:]
		}
		uid, id, flags := fetchedUID.FindStringSubmatch(rest), fetchedID.FindStringSubmatch(rest), fetchedFlags.FindStringSubmatch(rest)
		if uid == nil || id == nil || flags == nil {
			return nil, fmt.Errorf("imap: no UID, EMAILID or FLAGS: %q", rest)
		}
		if s.uid, err = strconv.ParseUint(uid[1], 10, 32); err != nil {
			return nil, err
		}
		s.id, s.flags = id[1], strings.Fields(flags[1])
		s.flags = slices.DeleteFunc(s.flags, func(f string) bool { return f == `\Recent` })
		slices.Sort(s.flags)
		all = append(all, s)
	}
	return all, nil
}

// folder opens a folder and gives all of it.
func (c *imapTalk) folder(t *testing.T, name string) []shown {
	t.Helper()
	c.must(t, "EXAMINE "+name)
	all, err := c.messages()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// subjects are those of all messages, sorted.
func subjects(all []shown) []string {
	names := []string{}
	for _, s := range all {
		names = append(names, s.subject())
	}
	slices.Sort(names)
	return names
}

// requireFolder demands the subjects that a folder shows, in any order.
func (c *imapTalk) requireFolder(t *testing.T, name string, want ...string) []shown {
	t.Helper()
	all := c.folder(t, name)
	slices.Sort(want)
	if got := subjects(all); !slices.Equal(got, want) {
		t.Errorf("%s holds %q, want %q", name, got, want)
	}
	return all
}

// A message for IMAP tests: the lines of it are known, so that the result can be compared octet by octet.
func imapMessage(subject string) string {
	return "From: someone@sender.example\r\nTo: u0@example.test\r\nDate: Sun, 22 Nov 2026 07:00:00 +0000\r\n" +
		"Message-ID: <" + subject + "@sender.example>\r\nSubject: " + subject + "\r\n\r\n.dot\r\nFrom the body of " + subject + "\r\n\r\nend \t\r\n"
}

// requireEnds demands that each message ends with what was sent: above it only trace lines were added.
func requireEnds(t *testing.T, all []shown) {
	t.Helper()
	for _, s := range all {
		if !strings.HasSuffix(s.text, imapMessage(s.subject())) {
			t.Errorf("UID %d is not what was sent: %q", s.uid, s.text)
		}
	}
}

// sendIMAP delivers messages with these subjects by SMTP.
func sendIMAP(t *testing.T, addr, to string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := deliverTo(t, addr, to, imapMessage(name)); err != nil {
			t.Fatalf("message %s to %s at %s: %v", name, to, addr, err)
		}
	}
}
