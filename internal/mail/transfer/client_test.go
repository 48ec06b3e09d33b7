package transfer

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
)

// talkTo gives a client whose server answers the first command with that text, in which T stands for the tag, and goes.
func talkTo(t testing.TB, answer string) *client {
	t.Helper()
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer theirs.Close()
		line, err := bufio.NewReader(theirs).ReadString('\n')
		if err != nil {
			return
		}
		tag, _, _ := strings.Cut(line, " ")
		_, _ = io.WriteString(theirs, strings.ReplaceAll(answer, "TAG", tag)) // the client may have gone
	}()
	t.Cleanup(func() { ours.Close(); <-done })
	return &client{conn: ours, in: bufio.NewReaderSize(ours, lineBuffer)}
}

// A server that is broken or hostile ends a command with an error; it does not fill the memory.
func TestHostileServer(t *testing.T) {
	for _, tt := range []struct{ name, answer, want string }{
		{"closes", "", "EOF"},
		{"ends in a line", "* 1 FETCH (UID", "unexpected EOF"},
		{"no", "TAG NO it is not there\r\n", "answers NO"},
		{"bye", "* BYE go away\r\n", "ends the session"},
		{"another tag", "other OK\r\n", "was not given"},
		{"a question", "+ more\r\n", "nothing is to say"},
		{"a line without an end", strings.Repeat("x", responseMax+lineBuffer), "a line of more"},
		{"a literal that is too large", "* 1 FETCH (BODY[] {99999999999}\r\n", "too large"},
		{"a literal that is not there", "* 1 FETCH (BODY[] {100}\r\nabc", "unexpected EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := talkTo(t, tt.answer)
			if err := c.command("NOOP", nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestUnknownResponses(t *testing.T) {
	c := talkTo(t, "* XSOMETHING new (\"x\" {3}\r\n\r\n)\r\n* 5 EXISTS\r\n* OK [X-CODE (1] text\r\nTAG OK done\r\n")
	seen := 0
	err := c.command("NOOP", func(r imap.Response) error {
		if e, ok := r.(imap.ExistsData); ok && e.Count == 5 {
			seen++
		}
		return nil
	})
	if err != nil || seen != 1 {
		t.Errorf("%v, EXISTS seen %d times", err, seen)
	}
}

// What another message has, and what was not asked for, is not taken for the contents.
func TestFetch(t *testing.T) {
	s := &Server{Max: 4 << 20}
	for _, tt := range []struct{ name, answer, text, want string }{
		{"whole", "* 1 FETCH (UID 7 BODY[]<0> {3}\r\nabc)\r\nTAG OK\r\n", "abc", ""},
		{"flags beside it", "* 1 FETCH (FLAGS (\\Seen) UID 7)\r\n* 1 FETCH (UID 7 BODY[]<0> \"abc\")\r\nTAG OK\r\n", "abc", ""},
		{"another message", "* 1 FETCH (UID 8 BODY[]<0> {3}\r\nabc)\r\nTAG OK\r\n", "", "does not give"},
		{"nothing", "TAG OK\r\n", "", "does not give"},
		{"nil", "* 1 FETCH (UID 7 BODY[] NIL)\r\nTAG OK\r\n", "", "does not give"},
		{"too much", fmt.Sprintf("* 1 FETCH (UID 7 BODY[]<0> {%d}\r\n%s)\r\nTAG OK\r\n", pieceOctets+1, strings.Repeat("x", pieceOctets+1)), "", "were asked for"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := s.fetch(talkTo(t, tt.answer), remote{uid: 7, size: 3})
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) || b.memory.String() != tt.text {
				t.Errorf("%q, %v; want %q, %q", b.memory.String(), err, tt.text, tt.want)
			}
			if err := b.close(); err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := s.fetch(nil, remote{uid: 7, size: 5 << 20}); err == nil {
		t.Error("a message that is too large was fetched")
	}
}

func TestLocalName(t *testing.T) {
	for _, tt := range []struct {
		l    imap.ListData
		want string
	}{
		{imap.ListData{Folder: "inbox"}, "INBOX"},
		{imap.ListData{Folder: "INBOX.Work.2026", Delimiter: '.'}, "INBOX/Work/2026"},
		{imap.ListData{Folder: "a/b.c", Delimiter: '.'}, "a_b/c"},
		{imap.ListData{Folder: "a.b/c"}, "a.b/c"},
		{imap.ListData{Folder: "a/b", NoLevels: true}, "a_b"},
	} {
		if got := localName(tt.l); got != tt.want {
			t.Errorf("localName(%+v) = %q, want %q", tt.l, got, tt.want)
		}
	}
}

// FuzzResponse: whatever another server says, the client ends, and holds no more than it asked for.
func FuzzResponse(f *testing.F) {
	f.Add("* 1 FETCH (UID 7 BODY[]<0> {3}\r\nabc)\r\nTAG OK\r\n")
	f.Add("* BYE\r\n* 1 FETCH (UID 7 {3}\r\n")
	f.Fuzz(func(t *testing.T, answer string) {
		b, err := (&Server{Max: 1 << 10}).fetch(talkTo(t, answer), remote{uid: 7, size: 3})
		if b.size > 1<<10 || err == nil && b.size == 0 && !strings.Contains(answer, "FETCH") {
			t.Errorf("%d octets, %v", b.size, err)
		}
		if err := b.close(); err != nil {
			t.Error(err)
		}
	})
}

// An import that is told the end of another server's mail, and ids that depend on all that names a message.
func TestRemoteIDs(t *testing.T) {
	seen := map[mail.MessageID]string{}
	for _, remoteUser := range []string{"a", "b"} {
		for _, folder := range []string{"INBOX", "x"} {
			for _, uid := range []uint32{1, 2} {
				s := &Server{User: "u@x.example", Address: "old:993", Remote: remoteUser}
				id, what := s.email(remoteFolder{theirs: folder}, 5, uid), fmt.Sprint(remoteUser, folder, uid)
				if other, ok := seen[id]; ok {
					t.Errorf("%s and %s have the same id", what, other)
				}
				seen[id] = what
			}
		}
	}
	if i := (&Importer{known: map[mail.MessageID]struct{}{{1}: {}}, Progress: func(Tally) {}}); !i.Has(mail.MessageID{1}) || i.Has(mail.MessageID{2}) || i.tally.There != 1 {
		t.Error("Has does not say what is there")
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var m fakeMailbox
	i := &Importer{Mailbox: &m, Progress: func(Tally) {}, Report: func(string, error) {}}
	source := &Mbox{Folder: "INBOX", File: strings.NewReader(entry("A: 1\n\nx\n")), Max: 100}
	if _, err := i.Run(ctx, source.Run); err == nil || len(m.stored) > 0 {
		t.Errorf("%v with %d stored", err, len(m.stored))
	}
}
