package retrieval_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
	"porcupine/internal/mail/delivery"
	"porcupine/internal/mail/directory"
	"porcupine/internal/mail/directory/credential"
	"porcupine/internal/mail/mailbox"
	"porcupine/internal/mail/retrieval"
)

// site is the mail service on one node, wired as a daemon does it.
type site struct {
	directory *directory.Directory
	delivery  *delivery.Delivery
	retrieval *retrieval.Retrieval
}

func newSite(t *testing.T, ctx context.Context, node *clustertest.Node) *site {
	t.Helper()
	d, err := directory.New(node, directory.Config{Credentials: credential.Params{ArgonMemory: 64, ArgonTime: 1, NoSCRAM: true}})
	if err != nil {
		t.Fatal(err)
	}
	locks, err := mailbox.New(node, mailbox.Config{ClusterID: clustertest.ID})
	if err != nil {
		t.Fatal(err)
	}
	d.Register()
	locks.Register()
	go locks.Run(ctx)
	out, err := delivery.New(node, d, delivery.Config{})
	if err != nil {
		t.Fatal(err)
	}
	in, err := retrieval.New(node, locks, retrieval.Config{Floor: directory.MailFloor})
	if err != nil {
		t.Fatal(err)
	}
	return &site{directory: d, delivery: out, retrieval: in}
}

// Porcupine §3.5 and §3.6 on one page: mail that comes in at one node is read at another, by one
// session at a time, while nodes come and go.
func TestMailAtAnyNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		c := clustertest.New(3, mail.Types())
		sites := []*site{newSite(t, ctx, c.Node(1)), newSite(t, ctx, c.Node(2)), newSite(t, ctx, c.Node(3))}
		u0 := mail.Address{Local: "u0", Domain: "example.test"}
		client := mail.Client{Service: "pop3"}
		secret, err := sites[0].directory.NewCredential("porcupine")
		if err != nil {
			t.Fatal(err)
		}
		if err := sites[0].directory.AddDomain(ctx, "example.test", directory.DomainSettings{}); err != nil {
			t.Fatal(err)
		}
		if _, err := sites[0].directory.AddUser(ctx, u0, directory.NewUser{Credential: secret}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // the grace after the start
		for round, members := range [][]cluster.NodeID{{1, 2, 3}, {1, 2}, {1, 2, 3}, {2, 3}, {1, 2, 3}} {
			c.SetMembers(members...)
			in, out := sites[members[0]-1], sites[members[len(members)-1]-1]
			rcpt, err := in.delivery.Verify(ctx, mail.Address{}, u0, 0)
			if err != nil {
				t.Fatalf("round %d: Verify: %v", round, err)
			}
			env := mail.Envelope{Recipients: []mail.Recipient{rcpt}, Received: time.Now()}
			if err := in.delivery.AllOrNone().Deliver(ctx, env, bytes.NewReader([]byte("hello")))[0]; err != nil {
				t.Fatalf("round %d: Deliver: %v", round, err)
			}
			user, err := out.directory.Authenticate(ctx, client, "U0@example.test", "porcupine")
			if err != nil {
				t.Fatalf("round %d: Authenticate: %v", round, err)
			}
			drop, err := out.retrieval.Open(ctx, user, client)
			if err != nil {
				t.Fatalf("round %d: Open: %v", round, err)
			}
			if _, err := in.retrieval.Open(ctx, user, client); !errors.Is(err, mail.ErrInUse) {
				t.Errorf("round %d: second Open = %v, want in use", round, err)
			}
			if len(drop.Messages()) != 1 {
				t.Fatalf("round %d: %d messages, want 1", round, len(drop.Messages()))
			}
			r, err := drop.Read(ctx, 0)
			if err != nil {
				t.Fatalf("round %d: Read: %v", round, err)
			}
			if b, err := io.ReadAll(r); string(b) != "hello" || err != nil {
				t.Errorf("round %d: message is %q, %v", round, b, err)
			}
			r.Close()
			if err := drop.Delete(ctx, []int{0}); err != nil {
				t.Errorf("round %d: Delete: %v", round, err)
			}
			if err := drop.Close(); err != nil {
				t.Errorf("round %d: Close: %v", round, err)
			}
		}
		cancel()
		synctest.Wait()
	})
}
