package pop3server_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	xdg "github.com/xdg-go/scram"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/listener/listenertest"
	"porcupine/internal/mail/pop3"
	"porcupine/internal/mail/pop3server"
)

// stuck is a Maildrop whose text never comes.
type stuck struct{ *drop }

func (stuck) Read(ctx context.Context, _ int) (io.ReadCloser, error) {
	return io.NopCloser(hanging{ctx}), nil
}

type hanging struct{ ctx context.Context }

func (h hanging) Read([]byte) (int, error) {
	<-h.ctx.Done()
	return 0, h.ctx.Err()
}

// stuckDrops is a Maildrops of stuck ones.
type stuckDrops struct{ *drops }

func (s stuckDrops) Open(ctx context.Context, u mail.User, c mail.Client) (pop3server.Maildrop, error) {
	d, err := s.drops.Open(ctx, u, c)
	if err != nil {
		return nil, err
	}
	return stuck{d.(*drop)}, nil
}

func TestReadThatStandsStillIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		newRig(t, stuckDrops{newDrops(one)}, options{}).play(login + `
C: RETR 1
S: -ERR [SYS/TEMP] message is not available now; try again later
C: NOOP
S: +OK`)
		if d := time.Since(began); d != pop3server.ServiceTimeoutDefault {
			t.Errorf("answered after %v, want %v", d, pop3server.ServiceTimeoutDefault)
		}
	})
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
	c := newRig(t, newDrops(one), options{backend: backend}).play(greeting + "\nC: AUTH SCRAM-SHA-256\nS: + ")
	conv := client.NewConversation()
	challenge := ""
	for range 2 {
		answer, err := conv.Step(challenge)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, base64.StdEncoding.EncodeToString([]byte(answer))+"\r\n")
		text, _ := strings.CutPrefix(listenertest.ReadLine(t, c), "+ ")
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatalf("challenge %q: %v", text, err)
		}
		challenge = string(b)
	}
	if _, err := conv.Step(challenge); err != nil || !conv.Valid() {
		t.Fatalf("the client does not accept the server's signature: %v", err)
	}
	io.WriteString(c, "\r\n")
	playOn(t, c, "S: +OK mailbox open")
}

func TestObserver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &recorder{}
		opt := options{}
		opt.cfg.Observer = o
		c := newRig(t, newDrops(one), opt).play(login + "C: RETR 1\nC: FOO\nC: QUIT\nS: +OK message follows")
		io.Copy(io.Discard, c)
		c.Close()
		synctest.Wait()
		want := "started; USER true; opened <nil>; PASS true; retrieved 36; RETR true; UNKNOWN false; QUIT true; ended quit"
		if got := strings.Join(o.events, "; "); got != want {
			t.Errorf("observed %q, want %q", got, want)
		}
	})
}

// recorder is an Observer for one session.
type recorder struct{ events []string }

func (r *recorder) note(s string) { r.events = append(r.events, s) }

func (r *recorder) SessionStarted(mail.Client) { r.note("started") }
func (r *recorder) SessionEnded(_ mail.Client, _ time.Duration, why string) {
	r.note("ended " + why)
}
func (r *recorder) Command(v pop3.Verb, ok bool, _ time.Duration) {
	r.note(v.String() + map[bool]string{true: " true", false: " false"}[ok])
}
func (r *recorder) LoggedIn(_ mail.Client, _ time.Duration, err error) {
	if err == nil {
		err = errors.New("<nil>")
	}
	r.note("opened " + err.Error())
}
func (r *recorder) Retrieved(octets int64, _ time.Duration) {
	r.note("retrieved " + strconv.FormatInt(octets, 10))
}
