package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
	realdirectory "porcupine/internal/mail/directory"
)

// The directory's own type fits.
var _ directory = (*realdirectory.Directory)(nil)

// people is a directory with the aliases and the settings that a test gives it. Every other
// address at x.test is a user.
type people struct {
	node     *clustertest.Node
	aliases  map[string][]mail.User
	settings map[mail.User]mail.Settings
	gone     map[mail.User]bool
}

func (p *people) Resolve(ctx context.Context, a mail.Address) ([]mail.Mailbox, error) {
	users := p.aliases[a.Canonical()]
	if users == nil {
		users = []mail.User{mail.User(a.Canonical())}
	}
	var boxes []mail.Mailbox
	for _, u := range users {
		b, err := p.Mailbox(ctx, u)
		if err != nil {
			return nil, err
		}
		boxes = append(boxes, b)
	}
	return boxes, nil
}

func (p *people) Mailbox(ctx context.Context, u mail.User) (mail.Mailbox, error) {
	e, err := p.node.Lookup(ctx, string(u))
	if err != nil {
		return mail.Mailbox{}, err
	}
	if p.gone[u] || !strings.HasSuffix(string(u), "@x.test") {
		return mail.Mailbox{}, cluster.Errorf(cluster.KindNotFound, "look up", "no such user")
	}
	return mail.Mailbox{User: u, Settings: p.settings[u], Entry: e}, nil
}

// world is a cluster of four nodes with a delivery on node 1.
type world struct {
	*clustertest.Cluster
	*Delivery
	people *people
}

func newWorld(t *testing.T, cfg Config) *world {
	t.Helper()
	w := &world{Cluster: clustertest.New(4, mail.Types())}
	w.people = &people{node: w.Node(1), aliases: map[string][]mail.User{}, settings: map[mail.User]mail.Settings{}, gone: map[mail.User]bool{}}
	var err error
	if w.Delivery, err = New(w.Node(1), w.people, cfg); err != nil {
		t.Fatal(err)
	}
	return w
}

// envelope verifies the recipients.
func (w *world) envelope(t *testing.T, rcpts ...string) mail.Envelope {
	t.Helper()
	env := mail.Envelope{Received: time.Unix(1e9, 5)}
	for _, s := range rcpts {
		a, err := mail.ParseAddress(s)
		if err != nil {
			t.Fatal(err)
		}
		r, err := w.Verify(context.Background(), mail.Address{}, a, 0)
		if err != nil {
			t.Fatalf("Verify(%q): %v", s, err)
		}
		env.Recipients = append(env.Recipients, r)
	}
	return env
}

// messages gives the ids of a user's messages on all disks, one for each copy.
func (w *world) messages(u string) []cluster.ObjectID { return w.Objects(u, mail.TypeMessage) }

func kinds(errs []error) string {
	var names []string
	for _, err := range errs {
		if err == nil {
			names = append(names, "ok")
		} else {
			names = append(names, cluster.KindOf(err).String())
		}
	}
	return strings.Join(names, ", ")
}

var body = bytes.NewReader([]byte("Subject: x\r\n\r\nx\r\n"))

func TestDeliver(t *testing.T) {
	w := newWorld(t, Config{})
	w.people.aliases["team@x.test"] = []mail.User{"b@x.test", "c@x.test"}
	env := w.envelope(t, "A@X.test", "team@x.test", "c@x.test", "a@x.test")
	if got := kinds(w.Deliver(context.Background(), env, body)); got != "ok, ok, ok, ok" {
		t.Fatalf("Deliver = %s", got)
	}
	ids := map[string]bool{}
	for _, u := range []string{"a@x.test", "b@x.test", "c@x.test"} {
		got := slices.Compact(w.messages(u))
		if len(got) != 1 {
			t.Fatalf("%s has %d messages, want 1", u, len(got))
		}
		ids[got[0].ID] = true
		objects, err := w.Node(1).List(context.Background(), w.Copies(got[0])[0], u, mail.TypeMessage)
		if err != nil || len(objects) != 1 || objects[0].Size != body.Size() {
			t.Fatalf("message of %s: %+v, %v", u, objects, err)
		}
		if attr, err := mail.ParseMessageAttr(objects[0].Attr); err != nil || !attr.Received.Equal(env.Received) {
			t.Errorf("attributes of %s: %+v, %v", u, attr, err)
		}
	}
	if len(ids) != 3 {
		t.Errorf("three users share message ids: %v", ids)
	}
}

// One delivery asks the user's manager once: Deliver takes over what Verify was told.
func TestOneLookupForOneDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{})
		env := w.envelope(t, "a@x.test")
		w.Deliver(context.Background(), env, body)
		if n := w.Lookups.Load(); n != 1 {
			t.Errorf("%d lookups, want 1", n)
		}
		env = w.envelope(t, "a@x.test")
		time.Sleep(10 * time.Second) // a slow client
		w.Deliver(context.Background(), env, body)
		if n := w.Lookups.Load(); n != 3 {
			t.Errorf("%d lookups, want 3", n)
		}
	})
}

// A node that fails is replaced by another, with the same id: the message is there once (D1, D6),
// on as many nodes as wanted (D2), also when the failed node is back with what it may have stored.
func TestD6_RetryElsewhere(t *testing.T) {
	faults := map[string]clustertest.Faults{
		"hung":   {Hung: true},
		"full":   {Full: true},
		"behind": {Behind: true},
		"mute":   {Mute: true}, // it stores, and the answer is lost
	}
	for name, fault := range faults {
		for copies := 1; copies <= 3; copies++ {
			t.Run(fmt.Sprintf("%s %d", name, copies), func(t *testing.T) {
				w := newWorld(t, Config{Copies: copies})
				for i := range 20 {
					u := fmt.Sprintf("u%d@x.test", i)
					env := w.envelope(t, u)
					bad := cluster.NodeID(2 + i%3)
					w.SetFaults(bad, fault)
					if got := kinds(w.Deliver(context.Background(), env, body)); got != "ok" {
						t.Fatalf("Deliver = %s", got)
					}
					w.SetFaults(bad, clustertest.Faults{})
				}
				if left := w.Propagate(); left != 0 {
					t.Errorf("%d updates never end", left)
				}
				for i := range 20 {
					u := fmt.Sprintf("u%d@x.test", i)
					got := w.messages(u)
					if len(got) != copies || len(slices.Compact(got)) != 1 {
						t.Errorf("%s has the messages %v, want %d copies of one", u, got, copies)
					}
				}
			})
		}
	}
}

// V1: whatever happens while storing, an existing user's mail gets a temporary answer.
func TestV1_StoreFailuresAreTemporary(t *testing.T) {
	for name, tt := range map[string]struct {
		fault clustertest.Faults
		want  string
	}{
		"hung": {clustertest.Faults{Hung: true}, "unavailable"},
		"full": {clustertest.Faults{Full: true}, "full"},
		"mute": {clustertest.Faults{Mute: true}, "unavailable"},
	} {
		w := newWorld(t, Config{})
		env := w.envelope(t, "a@x.test")
		for id := range cluster.NodeID(4) {
			w.SetFaults(id+1, tt.fault)
		}
		errs := w.Deliver(context.Background(), env, body)
		if kinds(errs) != tt.want || errors.Is(errs[0], mail.ErrOverQuota) {
			t.Errorf("%s: Deliver = %v, want %s", name, errs, tt.want)
		}
		for id := range cluster.NodeID(4) {
			w.SetFaults(id+1, clustertest.Faults{})
		}
		// What the mute nodes stored is removed: the sender will send it again, with another id.
		w.Propagate()
		if got := w.messages("a@x.test"); len(got) != 0 {
			t.Errorf("%s: a refused message is stored: %v", name, got)
		}
	}
}

// A recipient that fails does not touch the others (LMTP), or takes them with it (SMTP).
func TestPartialFailure(t *testing.T) {
	for _, tt := range []struct {
		name   string
		gone   []mail.User
		quota  []mail.User
		alone  string
		both   string
		stored []string // for LMTP
	}{
		{"all well", nil, nil, "ok, ok, ok", "ok, ok, ok", []string{"a", "b", "c", "d"}},
		{"one is full", nil, []mail.User{"b@x.test"}, "ok, full, ok", "full, full, full", []string{"a", "c", "d"}},
		{"one is gone", []mail.User{"b@x.test"}, nil, "ok, not found, ok", "unavailable, unavailable, unavailable", []string{"a", "c", "d"}},
		{"one is gone, one full", []mail.User{"a@x.test"}, []mail.User{"b@x.test"}, "not found, full, ok", "full, full, full", []string{"c", "d"}},
		{"all of an alias", []mail.User{"c@x.test", "d@x.test"}, nil, "ok, ok, not found", "unavailable, unavailable, unavailable", []string{"a", "b"}},
		{"half of an alias", []mail.User{"d@x.test"}, nil, "ok, ok, unavailable", "unavailable, unavailable, unavailable", []string{"a", "b"}},
		{"all are gone", []mail.User{"a@x.test", "b@x.test", "c@x.test", "d@x.test"}, nil, "not found, not found, not found", "not found, not found, not found", nil},
	} {
		for _, together := range []bool{false, true} {
			w := newWorld(t, Config{FreshFor: time.Nanosecond})
			w.people.aliases["team@x.test"] = []mail.User{"c@x.test", "d@x.test"}
			env := w.envelope(t, "a@x.test", "b@x.test", "team@x.test")
			for _, u := range tt.gone {
				w.people.gone[u] = true
			}
			for _, u := range tt.quota {
				w.people.settings[u] = mail.Settings{QuotaBytes: 1}
			}
			want, stored := tt.alone, tt.stored
			deliver := w.Deliver
			if together {
				want, deliver = tt.both, w.AllOrNone().Deliver
				if tt.both != "ok, ok, ok" {
					stored = nil
				}
			}
			errs := deliver(context.Background(), env, body)
			if got := kinds(errs); got != want {
				t.Errorf("%s, together %v: %s, want %s", tt.name, together, got, want)
			}
			for _, u := range []string{"a", "b", "c", "d"} {
				got := len(slices.Compact(w.messages(u + "@x.test")))
				if (got == 1) != slices.Contains(stored, u) || got > 1 {
					t.Errorf("%s, together %v: %s has %d messages, want %v", tt.name, together, u, got, stored)
				}
			}
		}
	}
}

func TestVerify(t *testing.T) {
	w := newWorld(t, Config{})
	w.people.gone["nobody@x.test"] = true
	a, err := mail.ParseAddress("Nobody@x.test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Verify(context.Background(), mail.Address{}, a, 0); !cluster.IsKind(err, cluster.KindNotFound) {
		t.Errorf("Verify = %v, want not found", err)
	}
	env := w.envelope(t, "A+x@x.test")
	if r := env.Recipients[0]; r.Address.String() != "A+x@x.test" || !slices.Equal(r.Users, []mail.User{"a+x@x.test"}) {
		t.Errorf("Verify = %+v", r)
	}
	errs := w.Deliver(context.Background(), mail.Envelope{Recipients: []mail.Recipient{{Address: a}}}, body)
	if kinds(errs) != "internal" {
		t.Errorf("Deliver to a recipient that was not verified = %v", errs)
	}
}

// The body cannot be read: nothing is stored, the answer is temporary.
func TestBodyFails(t *testing.T) {
	w := newWorld(t, Config{})
	env := w.envelope(t, "a@x.test")
	errs := w.Deliver(context.Background(), env, brokenBody{})
	if kinds(errs) != "internal" || len(w.messages("a@x.test")) != 0 {
		t.Errorf("Deliver = %v", errs)
	}
}

type brokenBody struct{}

func (brokenBody) Size() int64                       { return 10 }
func (brokenBody) ReadAt([]byte, int64) (int, error) { return 0, errors.New("disk fell off") }

// A user's mail stays within the spread while nodes are well (Porcupine §4.5): Spread nodes, and one
// more for each further copy.
func TestSpread(t *testing.T) {
	for copies, want := range map[int]int{1: 2, 2: 3, 3: 4} {
		w := newWorld(t, Config{Copies: copies, FreshFor: time.Nanosecond})
		env := w.envelope(t, "a@x.test")
		for range 20 {
			if got := kinds(w.Deliver(context.Background(), env, body)); got != "ok" {
				t.Fatal(got)
			}
		}
		var nodes cluster.ReplicaSet
		for _, id := range w.messages("a@x.test") {
			nodes = nodes.Union(w.Copies(id))
		}
		if len(nodes) != want {
			t.Errorf("with %d copies the mail lies on %v, want %d nodes", copies, nodes, want)
		}
	}
}
