package imapserver_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	xdg "github.com/xdg-go/scram"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
	"porcupine/internal/mail/imapserver"
	"porcupine/internal/mail/imapserver/imaptest"
	"porcupine/internal/mail/listener/listenertest"
)

// torn is mail whose messages end after so many octets, with an error.
type torn struct {
	*imaptest.Mail
	after int64 // negative: they stand still instead
	end   error
}

func (s torn) Open(ctx context.Context, u mail.User, c mail.Client) (imapserver.Mailbox, error) {
	b, err := s.Mail.Open(ctx, u, c)
	return tornBox{b, s}, err
}

type tornBox struct {
	imapserver.Mailbox
	torn
}

func (s tornBox) Select(ctx context.Context, name string, readOnly bool) (imapserver.Selected, error) {
	f, err := s.Mailbox.Select(ctx, name, readOnly)
	return tornFolder{f, s.torn}, err
}

type tornFolder struct {
	imapserver.Selected
	torn
}

func (s tornFolder) Open(ctx context.Context, uid mail.UID, offset, length int64) (io.ReadCloser, error) {
	if s.after < 0 {
		return io.NopCloser(hanging{ctx}), nil
	}
	r, err := s.Selected.Open(ctx, uid, offset, length)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(r, max(0, s.after-offset)), failing{s.end}), r}, nil
}

// failing is the end of contents.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

type hanging struct{ ctx context.Context }

func (h hanging) Read([]byte) (int, error) {
	<-h.ctx.Done()
	return 0, h.ctx.Err()
}

func TestD5_TornMessageIsNeverTakenForTheWhole(t *testing.T) {
	long := "Subject: long\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 10_000)
	damaged := cluster.Errorf(cluster.KindCorrupt, "read", "checksum")
	for _, tt := range []struct {
		after int64
		end   error
		want  string // a piece, and the end
	}{
		{100, io.EOF, "S: 1 NO [UNAVAILABLE] not possible now; try again later"}, // nothing of it was sent
		{100, damaged, "S: 1 NO [CORRUPTION] message is damaged; ask your administrator"},
		{int64(len(long)), damaged, "S: * 1 FETCH (FLAGS (\\Seen) BODY[] {180017}\nS: Subject: long"},
		{100_000, io.EOF, "S: * 1 FETCH (FLAGS (\\Seen) BODY[] {180017}\nS: Subject: long"},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newMail()
			m.Deliver(alice, "INBOX", long, clock)
			c := newRig(t, m, options{mailboxes: torn{m, tt.after, tt.end}}).play(login + "C: S SELECT INBOX\n" + strings.Repeat("S: ...\n", 10) + "C: 1 FETCH 1 BODY[]\n" + tt.want)
			if tt.after > 1000 {
				rest, _ := io.ReadAll(c)
				if strings.Contains(string(rest), ")\r\n") || len(rest) > 170_000 {
					t.Errorf("after the piece come %d octets, with an end", len(rest))
				}
			}
		})
	}
}

func TestReadThatStandsStillIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := standard()
		began := time.Now()
		newRig(t, m, options{mailboxes: torn{m, -1, nil}}).play(selectInbox + `
			C: 1 FETCH 1 BODY.PEEK[]
			S: 1 NO [UNAVAILABLE] not possible now; try again later
			C: 2 NOOP
			S: 2 OK NOOP completed`)
		if d := time.Since(began); d != imapserver.ServiceTimeoutDefault {
			t.Errorf("answered after %v, want %v", d, imapserver.ServiceTimeoutDefault)
		}
	})
}

// TestD5_LargeMessageComesBackAsItWas goes through the spool's file, and through all pieces of a FETCH.
func TestD5_LargeMessageComesBackAsItWas(t *testing.T) {
	var text strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&text, "line %d of a long message\r\n", i)
	}
	m := newMail()
	c := newRig(t, m, options{}).play(login)
	go fmt.Fprintf(c, "1 APPEND INBOX {%d}\r\n%s\r\n2 EXAMINE INBOX\r\n3 FETCH 1 (BODY.PEEK[] BODY.PEEK[]<500000.100000>)\r\n", text.Len(), text.String())
	play(t, c, "S: + OK\nS: 1 OK [APPENDUID 1 1] APPEND completed"+strings.Repeat("\nS: ...", 10))
	readExactly(t, c, fmt.Sprintf("* 1 FETCH (BODY[] {%d}\r\n%s BODY[]<500000> {100000}\r\n%s)\r\n", text.Len(), text.String(), text.String()[500_000:600_000]))
}

func readExactly(t *testing.T, c io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("what came back is not what was stored")
	}
}

// TestAttack31_FetchOfEverythingIsBounded asks for all of a large folder: what is held does not grow with it.
func TestAttack31_FetchOfEverythingIsBounded(t *testing.T) {
	m := newMail()
	for range 1200 {
		m.Deliver(alice, "INBOX", plain, clock)
	}
	c := newRig(t, m, options{}).play(login + "C: S SELECT INBOX\n" + strings.Repeat("S: ...\n", 10))
	s := &client{t: t, c: c, r: bufio.NewReader(c)}
	answers := s.command("1", "UID FETCH 1:* (FLAGS ENVELOPE BODY.PEEK[HEADER.FIELDS (Subject)] RFC822.SIZE)")
	flags := s.command("2", "UID FETCH 1:* FLAGS")
	if len(answers) != 1201 || len(flags) != 1201 {
		t.Fatalf("%d and %d answers", len(answers), len(flags))
	}
	for i := range 1200 {
		if !strings.HasPrefix(answers[i], fmt.Sprintf("* %d FETCH (UID %d FLAGS () ENVELOPE (", i+1, i+1)) || !strings.HasSuffix(answers[i], `Subject: afternoon meeting\r\n\r\n RFC822.SIZE 257)`) {
			t.Fatalf("message %d: %q", i, answers[i])
		}
		if flags[i] != fmt.Sprintf("* %d FETCH (UID %d FLAGS ())", i+1, i+1) {
			t.Fatalf("message %d: %q", i, flags[i])
		}
	}
}

// scramUsers is users with SCRAM keys.
type scramUsers struct {
	users
	keys mail.SCRAMKeys
}

func (u scramUsers) SCRAM(_ context.Context, _ mail.Client, login string) (mail.User, mail.SCRAMKeys, error) {
	if login != alice {
		return "", mail.SCRAMKeys{}, cluster.Errorf(cluster.KindNotFound, "scram", "nobody")
	}
	return alice, u.keys, nil
}

func TestSCRAMWithThirdPartyClient(t *testing.T) {
	client, err := xdg.SHA256.NewClient(alice, password, "")
	if err != nil {
		t.Fatal(err)
	}
	k, err := client.GetStoredCredentialsWithError(xdg.KeyFactors{Salt: "0123456789abcdef", Iters: 4096})
	if err != nil {
		t.Fatal(err)
	}
	backend := scramUsers{keys: mail.SCRAMKeys{Salt: []byte(k.Salt), Iterations: k.Iters, StoredKey: k.StoredKey, ServerKey: k.ServerKey}}
	c := newRig(t, newMail(), options{backend: backend}).play(greeting)
	conv := client.NewConversation()
	answer, err := conv.Step("")
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "1 AUTHENTICATE SCRAM-SHA-256 "+base64.StdEncoding.EncodeToString([]byte(answer))+"\r\n")
	for range 2 {
		text, _ := strings.CutPrefix(listenertest.ReadLine(t, c), "+ ")
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatalf("challenge %q: %v", text, err)
		}
		if answer, err = conv.Step(string(b)); err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, base64.StdEncoding.EncodeToString([]byte(answer))+"\r\n")
	}
	if !conv.Valid() {
		t.Fatal("the client does not accept the server's signature")
	}
	play(t, c, "S: 1 OK [CAPABILITY ...")
}

func TestObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &recorder{}
		m := standard()
		c := newRig(t, m, options{cfg: imapserver.Config{Observer: o}}).play(selectInbox + `
			C: 1 FETCH 1 BODY[TEXT]<0.5>
			S: ...
			S: ...
			S: 1 OK FETCH completed
			C: 2 APPEND Sent {3}
			S: + OK
			C: abc
			S: 2 OK [APPENDUID 4 1] APPEND completed
			C: 3 FOO
			S: 3 BAD unknown command
			C: 4 DELETE nothing
			S: 4 NO ...
			C: 5 IDLE
			S: + idling`)
		synctest.Wait()
		m.Deliver(alice, "INBOX", plain, clock)
		play(t, c, "S: * 5 EXISTS\nS: * 0 RECENT\nC: DONE\nS: 5 OK IDLE completed\nC: 6 LOGOUT\nS: * BYE see you\nS: 6 OK LOGOUT completed\nS: (end)")
		synctest.Wait()
		want := "started; opened <nil>; LOGIN OK; SELECT OK; fetched 5; FETCH OK; appended 3; APPEND OK;  BAD; DELETE NO; told; IDLE OK; LOGOUT OK; ended logout"
		if got := strings.Join(o.events, "; "); got != want {
			t.Errorf("observed %q, want %q", got, want)
		}
	})
}

// recorder is an Observer for one session.
type recorder struct {
	mu     sync.Mutex
	events []string
}

func (r *recorder) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, fmt.Sprintf(format, args...))
}

func (r *recorder) SessionStarted(mail.Client)                            { r.note("started") }
func (r *recorder) SessionEnded(_ mail.Client, _ time.Duration, w string) { r.note("ended %s", w) }
func (r *recorder) Command(v imap.Verb, result string, _ time.Duration)   { r.note("%s %s", v, result) }
func (r *recorder) LoggedIn(_ mail.Client, _ time.Duration, err error)    { r.note("opened %v", err) }
func (r *recorder) Fetched(octets int64)                                  { r.note("fetched %d", octets) }
func (r *recorder) Appended(octets int64)                                 { r.note("appended %d", octets) }
func (r *recorder) Told(time.Duration)                                    { r.note("told") }
