package directory

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
)

func TestAddUser(t *testing.T) {
	w := newWorld(t, 5)
	ctx := context.Background()
	w.addDomain("x.test", DomainSettings{})
	w.addUsers("U@X.test")
	if got := w.Copies(userID("u@x.test")); len(got) != 3 {
		t.Errorf("the profile lies on %v, want three nodes", got)
	}
	for _, tt := range []struct{ in, err string }{
		{"u@x.test", "exists"},
		{`"u"@x.test`, "exists"},
		{"ｕ@x.test", "exists"},
		{"v@else.test", "invalid"},
		{"аdmin@x.test", "invalid"}, // Cyrillic а
		{"v@[192.0.2.1]", "invalid"},
		{"v@x.test", "ok"},
	} {
		_, err := w.dirs[1].AddUser(ctx, addr(t, tt.in), NewUser{Credential: w.credential("secret")})
		if kind(err) != tt.err {
			t.Errorf("AddUser(%q) = %v, want %s", tt.in, err, tt.err)
		}
	}
	if _, err := w.dirs[0].AddUser(ctx, addr(t, "w@x.test"), NewUser{}); kind(err) != "invalid" {
		t.Errorf("AddUser without a credential = %v, want invalid", err)
	}
	if _, err := w.dirs[0].AddUser(ctx, addr(t, "w@x.test"), NewUser{Credential: w.credential("x"), Settings: mail.Settings{QuotaBytes: -1}}); kind(err) != "invalid" {
		t.Errorf("AddUser with a negative quota = %v, want invalid", err)
	}
}

// Names never become paths: whatever passes as an account stays one opaque owner.
func TestAttack33_NamesAreOpaque(t *testing.T) {
	w := newWorld(t, 1)
	ctx := context.Background()
	w.addDomain("x.test", DomainSettings{})
	for _, in := range []string{"/etc/passwd@x.test", "a/b@x.test", "a'--@x.test", "{{a}}@x.test"} {
		u, err := w.dirs[0].AddUser(ctx, addr(t, in), NewUser{Credential: w.credential("secret")})
		if err != nil {
			t.Errorf("AddUser(%q): %v", in, err)
			continue
		}
		if got := w.Objects(string(u), mail.TypeUser); len(got) != 1 || got[0].Owner != in {
			t.Errorf("AddUser(%q) made %v", in, got)
		}
		got, err := w.dirs[0].Resolve(ctx, addr(t, in))
		if users(got) != in || err != nil {
			t.Errorf("Resolve(%q) = %q, %v", in, users(got), err)
		}
	}
	for _, in := range []string{"../x", "x/y.test", "x\x00.test", "[192.0.2.1]", ""} {
		if err := w.dirs[0].AddDomain(ctx, in, DomainSettings{}); kind(err) != "invalid" {
			t.Errorf("AddDomain(%q) = %v, want invalid", in, err)
		}
	}
}

// Two nodes that make one name at the same time: one of them wins, and it is one user.
func TestAddUserTwiceAtOnce(t *testing.T) {
	w := newWorld(t, 3)
	w.addDomain("x.test", DomainSettings{})
	errs := make([]error, len(w.dirs))
	credentials := []Credential{w.credential("a"), w.credential("b"), w.credential("c")}
	var wg sync.WaitGroup
	for i, d := range w.dirs {
		wg.Go(func() {
			_, errs[i] = d.AddUser(context.Background(), mail.Address{Local: "u", Domain: "x.test"}, NewUser{Credential: credentials[i]})
		})
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		switch kind(err) {
		case "ok":
			made++
		case "exists":
		default:
			t.Errorf("AddUser = %v", err)
		}
	}
	if made != 1 {
		t.Errorf("%d of %d succeeded, want 1", made, len(errs))
	}
}

func TestEditUserAgainstAnotherChange(t *testing.T) {
	w := newWorld(t, 3)
	ctx := context.Background()
	w.addDomain("x.test", DomainSettings{})
	w.addUsers("u@x.test")
	calls := 0
	err := w.dirs[0].EditUser(ctx, "u@x.test", func(p *Profile) {
		if calls++; calls == 1 { // another administrator is faster
			if err := w.dirs[1].EditUser(ctx, "u@x.test", func(p *Profile) { p.Settings.Spread = 4 }); err != nil {
				t.Error(err)
			}
		}
		p.Disabled = true
	})
	if err != nil || calls != 2 {
		t.Fatalf("EditUser = %v after %d calls, want 2", err, calls)
	}
	list, _, err := w.dirs[2].ListUsers(ctx, "", 0)
	if err != nil || len(list) != 1 || !list[0].Disabled || list[0].Settings.Spread != 4 {
		t.Errorf("ListUsers = %+v, %v: a change was lost", list, err)
	}
	if err := w.dirs[0].EditUser(ctx, "nobody@x.test", func(*Profile) {}); kind(err) != "not found" {
		t.Errorf("EditUser of nobody = %v", err)
	}
}

func putMessages(w *world, user string, n int) {
	for i := range n {
		on := cluster.NodeID(i%2 + 1)
		w.Put(on, cluster.Object{ID: mail.NewMessageID().Object(mail.User(user)), Replicas: cluster.NewReplicaSet(on)}, []byte("m"))
	}
}

func TestRemoveUser(t *testing.T) {
	w := newWorld(t, 3)
	ctx := context.Background()
	w.addDomain("x.test", DomainSettings{})
	w.addUsers("u@x.test", "v@x.test")
	putMessages(w, "u@x.test", 7)
	putMessages(w, "v@x.test", 2)
	w.SetFaults(2, clustertest.Faults{}) // all well
	n, err := w.dirs[0].RemoveUser(ctx, "u@x.test")
	if n != 7 || err != nil {
		t.Errorf("RemoveUser = %d, %v, want 7", n, err)
	}
	if left := w.Objects("u@x.test", mail.TypeMessage); len(left) != 0 {
		t.Errorf("messages left: %v", left)
	}
	if left := w.Objects("v@x.test", mail.TypeMessage); len(left) != 2 {
		t.Errorf("messages of another user: %v", left)
	}
	if _, err := w.dirs[1].Resolve(ctx, addr(t, "u@x.test")); kind(err) != "not found" {
		t.Errorf("Resolve = %v, want not found", err)
	}
	if _, err := w.dirs[1].Authenticate(ctx, client, "u@x.test", "secret"); kind(err) != "denied" {
		t.Errorf("Authenticate = %v, want denied", err)
	}
	if _, err := w.dirs[0].RemoveUser(ctx, "u@x.test"); kind(err) != "not found" {
		t.Errorf("RemoveUser again = %v, want not found", err)
	}
}

// Removal that fails half-way goes on when it is repeated, and nobody gets the name before.
func TestRemoveUserIsResumable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		ctx := context.Background()
		w.addDomain("x.test", DomainSettings{})
		w.addUsers("u@x.test")
		w.MoveBucket("u@x.test", 3)
		putMessages(w, "u@x.test", 6)
		w.SetFaults(2, clustertest.Faults{Hung: true})
		if _, err := w.dirs[2].RemoveUser(ctx, "u@x.test"); err == nil {
			t.Fatal("RemoveUser succeeded with a node that does not answer")
		}
		w.SetFaults(2, clustertest.Faults{})
		// The profile's tombstone may or may not be everywhere; the mail is not all gone.
		if _, err := w.dirs[2].AddUser(ctx, addr(t, "u@x.test"), NewUser{Credential: w.credential("secret")}); kind(err) != "exists" {
			t.Errorf("AddUser over mail of a former user = %v, want exists", err)
		}
		w.SetKnowledge(cluster.Complete) // a third node is away: the tombstone is enough to go on
		if n, err := w.dirs[2].RemoveUser(ctx, "u@x.test"); n == 0 || err != nil {
			t.Errorf("RemoveUser again = %d, %v", n, err)
		}
		if left := w.Objects("u@x.test", mail.TypeMessage); len(left) != 0 {
			t.Errorf("messages left: %v", left)
		}
	})
}

// A1: mail that lay on a node that was away is not shown to a later user of the name.
func TestA1_FormerUsersMail(t *testing.T) {
	w := newWorld(t, 3)
	ctx := context.Background()
	w.addDomain("x.test", DomainSettings{})
	w.addUsers("u@x.test")
	putMessages(w, "u@x.test", 2)
	w.SetMembers(1, 3) // node 2 goes away with a message
	if _, err := w.dirs[0].RemoveUser(ctx, "u@x.test"); err != nil {
		t.Fatal(err)
	}
	w.addUsers("u@x.test")
	w.SetMembers(1, 2, 3)
	box, err := w.dirs[0].Mailbox(ctx, "u@x.test")
	if err != nil {
		t.Fatal(err)
	}
	floor, err := MailFloor(&box.Entry)
	if err != nil || floor.IsZero() {
		t.Fatalf("MailFloor = %v, %v", floor, err)
	}
	old, err := w.Node(1).List(ctx, 2, "u@x.test", mail.TypeMessage)
	if err != nil || len(old) != 1 || old[0].Timestamp.Compare(floor) > 0 {
		t.Errorf("the former user's message %+v is newer than the floor %v (%v)", old, floor, err)
	}
	putMessages(w, "u@x.test", 1)
	fresh, err := w.Node(1).List(ctx, 1, "u@x.test", mail.TypeMessage)
	if err != nil || len(fresh) != 1 || fresh[0].Timestamp.Compare(floor) <= 0 {
		t.Errorf("the new user's message %+v is not newer than the floor %v (%v)", fresh, floor, err)
	}
}

// A1: a profile that was made up before the former user was removed does not go in: it would show
// the former user's mail.
func TestA1_RemovalWhileAUserIsMade(t *testing.T) {
	w := newWorld(t, 3)
	ctx := context.Background()
	w.addDomain("x.test", DomainSettings{})
	w.addUsers("u@x.test")
	early, err := encodeRecord(&Profile{Version: recordVersion, Credential: w.credential("secret")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.dirs[0].RemoveUser(ctx, "u@x.test"); err != nil {
		t.Fatal(err)
	}
	add := change{Op: opAdd, Type: mail.TypeUser, Owner: "u@x.test", Contents: early}
	if _, err := w.dirs[0].change(ctx, add); kind(err) != "unavailable" || len(w.Objects("u@x.test", mail.TypeUser)) != 0 {
		t.Errorf("add with a profile older than the removal = %v, want unavailable", err)
	}
	w.addUsers("u@x.test")
}

func TestDomains(t *testing.T) {
	w := newWorld(t, 3)
	ctx := context.Background()
	w.addDomain("X.test.", DomainSettings{})
	w.addDomain("bücher.example", DomainSettings{})
	w.addUsers("u@x.test")
	if err := w.dirs[0].AddDomain(ctx, "x.TEST", DomainSettings{}); kind(err) != "exists" {
		t.Errorf("AddDomain again = %v, want exists", err)
	}
	if err := w.dirs[0].RemoveDomain(ctx, "x.test"); kind(err) != "exists" {
		t.Errorf("RemoveDomain with a user = %v, want exists", err)
	}
	if err := w.dirs[0].SetDomain(ctx, "x.test", DomainSettings{Postmaster: addr(t, "U@x.test")}); err != nil {
		t.Error(err)
	}
	list, next, err := w.dirs[1].ListDomains(ctx, "", 0)
	if err != nil || next != "" || len(list) != 2 || list[0].Domain != "x.test" || list[0].Postmaster != "u@x.test" || list[1].Domain != "xn--bcher-kva.example" {
		t.Errorf("ListDomains = %+v, %q, %v", list, next, err)
	}
	if _, err := w.dirs[0].RemoveUser(ctx, "u@x.test"); err != nil {
		t.Fatal(err)
	}
	if err := w.dirs[0].RemoveDomain(ctx, "x.test"); err != nil {
		t.Errorf("RemoveDomain = %v", err)
	}
	if err := w.dirs[0].RemoveDomain(ctx, "x.test"); kind(err) != "not found" {
		t.Errorf("RemoveDomain again = %v, want not found", err)
	}
	w.addDomain("x.test", DomainSettings{}) // over a tombstone
}

func TestListUsersPages(t *testing.T) {
	w := newWorld(t, 3)
	ctx := context.Background()
	w.addDomain("x.test", DomainSettings{})
	var want []string
	for i := range 7 {
		want = append(want, fmt.Sprintf("u%d@x.test", i))
	}
	w.addUsers(want...)
	if _, err := w.dirs[0].RemoveUser(ctx, "u3@x.test"); err != nil {
		t.Fatal(err)
	}
	want = slices.Delete(want, 3, 4)
	var got []string
	after := ""
	for pages := 0; ; pages++ {
		page, next, err := w.dirs[2].ListUsers(ctx, after, 2)
		if err != nil || pages > 10 {
			t.Fatal(err, pages)
		}
		for _, u := range page {
			got = append(got, string(u.User))
		}
		if after = next; next == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("ListUsers gave %v, want %v", got, want)
	}
}

func TestListAliases(t *testing.T) {
	w := newWorld(t, 2)
	ctx := context.Background()
	w.addDomain("x.test", DomainSettings{})
	w.addUsers("u@x.test")
	if err := w.dirs[0].AddAlias(ctx, addr(t, "A@x.test"), []mail.Address{addr(t, "U@x.test")}); err != nil {
		t.Fatal(err)
	}
	list, _, err := w.dirs[1].ListAliases(ctx, "", 0)
	if err != nil || len(list) != 1 || list[0].Address != "a@x.test" || !slices.Equal(list[0].Targets, []string{"u@x.test"}) {
		t.Errorf("ListAliases = %+v, %v", list, err)
	}
	if err := w.dirs[0].RemoveDomain(ctx, "x.test"); kind(err) != "exists" {
		t.Errorf("RemoveDomain with an alias = %v, want exists", err)
	}
}
