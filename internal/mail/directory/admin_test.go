package directory

import (
	"bytes"
	"context"
	"crypto/sha256"
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

// Subtle rule of V1: with two nodes known, a profile on one alone would make its absence
// unprovable for ever. It is refused.
func TestV1_NewProfilesNeedTwoNodes(t *testing.T) {
	w := newWorld(t, 2)
	ctx := context.Background()
	w.addDomain("x.test", DomainSettings{})
	w.SetFaults(2, clustertest.Faults{Full: true})
	_, err := w.dirs[0].AddUser(ctx, addr(t, "u@x.test"), NewUser{Credential: w.credential("secret")})
	if kind(err) != "unavailable" || len(w.Objects("u@x.test", mail.TypeUser)) != 0 {
		t.Errorf("AddUser with one usable node = %v, copies on %v", err, w.Copies(userID("u@x.test")))
	}
	w.SetFaults(2, clustertest.Faults{})
	w.SetMembers(1)
	if _, err := w.dirs[0].AddUser(ctx, addr(t, "u@x.test"), NewUser{Credential: w.credential("secret")}); kind(err) != "unavailable" {
		t.Errorf("AddUser with one member of two known = %v, want unavailable", err)
	}
	one := newWorld(t, 1)
	one.addDomain("x.test", DomainSettings{})
	one.addUsers("u@x.test") // one node is all there is: it will do
}

// A node that dies while a profile is written is replaced by another.
func TestAddUserWhenANodeDies(t *testing.T) {
	w := newWorld(t, 4)
	ctx := context.Background()
	w.addDomain("x.test", DomainSettings{})
	hung := cluster.NodeID(1)
	if w.Manager("u@x.test").ID() == hung || w.Manager("x.test").ID() == hung {
		hung = 2
	}
	if w.Manager("u@x.test").ID() == hung || w.Manager("x.test").ID() == hung {
		hung = 3
	}
	w.SetFaults(hung, clustertest.Faults{Hung: true})
	asker := w.dirs[3]
	if _, err := asker.AddUser(ctx, addr(t, "u@x.test"), NewUser{Credential: w.credential("secret")}); err != nil {
		t.Fatal(err)
	}
	if got := w.Copies(userID("u@x.test")); len(got) < 2 || got.Contains(hung) {
		t.Errorf("the profile lies on %v, want others than %v", got, hung)
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
		if _, err := w.dirs[2].RemoveUser(ctx, "u@x.test"); err != nil {
			t.Errorf("RemoveUser again = %v", err)
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

// A request that is carried out twice, because its answer was lost, has one effect.
func TestChangesAreIdempotent(t *testing.T) {
	w := newWorld(t, 3)
	ctx := context.Background()
	w.addDomain("x.test", DomainSettings{})
	d := w.dirs[0]
	contents, err := encodeRecord(&Profile{Version: 1, Credential: w.credential("secret")})
	if err != nil {
		t.Fatal(err)
	}
	edited, err := encodeRecord(&Profile{Version: 1, Credential: w.credential("other")})
	if err != nil {
		t.Fatal(err)
	}
	do := func(c change) {
		t.Helper()
		c.Type, c.Owner = mail.TypeUser, "u@x.test"
		for range 2 {
			if again, err := d.change(ctx, c); again || err != nil {
				t.Errorf("%v = %v, %v", &c, again, err)
			}
		}
	}
	base := func() cluster.Timestamp {
		c, err := d.current(ctx, "test", mail.TypeUser, "u@x.test")
		if err != nil {
			t.Fatal(err)
		}
		return c.Object.Timestamp
	}
	do(change{Op: opAdd, Contents: contents})
	do(change{Op: opReplace, Contents: edited, Base: base()})
	do(change{Op: opRemove, Base: base()})
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

// Profiles made while the cluster was small get their further nodes when it has grown.
func TestWiden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		ctx := context.Background()
		w.SetMembers(1, 2)
		w.addDomain("x.test", DomainSettings{})
		w.addUsers("u@x.test", "v@x.test")
		before := w.Objects("u@x.test", mail.TypeUser)
		w.SetMembers(1, 2, 3, 4)
		for i, d := range w.dirs[1:] {
			if n, err := d.Widen(ctx); n != 0 || err != nil {
				t.Errorf("Widen at node %d = %d, %v: the first member does it", i+2, n, err)
			}
		}
		if n, err := w.dirs[0].Widen(ctx); n != 3 || err != nil {
			t.Errorf("Widen = %d, %v, want 3", n, err)
		}
		if got := w.Copies(userID("u@x.test")); len(before) != 2 || len(got) != 3 {
			t.Errorf("the profile lies on %v, want three nodes", got)
		}
		if n, err := w.dirs[0].Widen(ctx); n != 0 || err != nil {
			t.Errorf("Widen again = %d, %v, want 0", n, err)
		}
		if _, err := w.dirs[3].Authenticate(ctx, client, "u@x.test", "secret"); err != nil {
			t.Errorf("Authenticate after Widen = %v", err)
		}
		// A node that is away is likely to come back: nothing is moved.
		w.addUsers("w@x.test")
		away := w.Copies(userID("w@x.test"))[2]
		w.SetMembers(slices.DeleteFunc([]cluster.NodeID{1, 2, 3, 4}, func(id cluster.NodeID) bool { return id == away })...)
		if n, err := w.dirs[w.Node(1).View().Members[0].ID-1].Widen(ctx); n != 0 || err != nil {
			t.Errorf("Widen with a node away = %d, %v, want 0", n, err)
		}
	})
}

func TestHostileChangesAreRefused(t *testing.T) {
	w := newWorld(t, 1)
	ctx := context.Background()
	for _, c := range []change{
		{Op: "burn", Type: mail.TypeUser, Owner: "u@x.test"},
		{Op: opAdd, Type: mail.TypeMessage, Owner: "u@x.test"},
		{Op: opAdd, Type: mail.TypeUser, Owner: "U@x.test", Contents: []byte(`{"version":1}`)},
		{Op: opAdd, Type: mail.TypeUser, Owner: "u@x.test", Contents: []byte(`{"version":1}`)},
		{Op: opAdd, Type: mail.TypeUser, Owner: "u@x.test", Contents: []byte(`{`)},
		{Op: opAdd, Type: mail.TypeDomain, Owner: "X.test", Contents: []byte(`{"version":1}`)},
		{Op: opAdd, Type: mail.TypeDomain, Owner: "x.test", Contents: []byte(`{"version":2}`)},
		{Op: opAdd, Type: mail.TypeAlias, Owner: "u@x.test", Contents: []byte(`{"version":1}`)},
	} {
		if _, err := w.dirs[0].change(ctx, c); kind(err) != "invalid" {
			t.Errorf("change %+v = %v, want invalid", c, err)
		}
	}
	if len(w.Disks()) != 0 {
		t.Error("something was stored")
	}
}

// A record that cannot be read is temporary: the user exists.
func TestV1_CorruptProfile(t *testing.T) {
	w := newWorld(t, 1)
	ctx := context.Background()
	w.addDomain("x.test", DomainSettings{})
	contents := []byte(`{"version":99}`)
	w.Put(1, cluster.Object{ID: userID("u@x.test"), Replicas: cluster.NewReplicaSet(1), Sum: sha256.Sum256(contents)}, contents)
	if _, err := w.dirs[0].Resolve(ctx, addr(t, "u@x.test")); kind(err) != "corrupt" {
		t.Errorf("Resolve = %v, want corrupt", err)
	}
	if _, err := w.dirs[0].Authenticate(ctx, client, "u@x.test", "x"); kind(err) != "corrupt" {
		t.Errorf("Authenticate = %v, want corrupt", err)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	credential := Credential{Password: "$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
	profile, err := encodeRecord(&Profile{Version: 1, Credential: credential})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(profile)
	f.Add([]byte(`{"version":1,"targets":["u@x.test"]}`))
	f.Add([]byte(`{"version":1,"postmaster":"u@x.test","catch_all":"v@x.test"}`))
	f.Add([]byte(`{"version":1,"credential":{"password":"$argon2id$v=19$m=4294967295,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAA"}}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := decodeProfile(b); err == nil {
			again, err := encodeRecord(p)
			if err != nil {
				t.Fatalf("profile %q cannot be written: %v", b, err)
			}
			if _, err := decodeProfile(again); err != nil {
				t.Fatalf("profile %q becomes %q: %v", b, again, err)
			}
		}
		if a, err := decodeAlias(b); err == nil && (len(a.Targets) == 0 || len(a.Targets) > AliasTargetsMax) {
			t.Fatalf("alias %q has %d targets", b, len(a.Targets))
		}
		if _, err := decodeDomain(b); err == nil && bytes.HasPrefix(b, []byte("[")) {
			t.Fatalf("domain %q decoded", b)
		}
	})
}

func FuzzDecodeAnswer(f *testing.F) {
	f.Add([]byte{})
	f.Add(encodeAnswer([]byte("x"), false, nil))
	f.Add(encodeAnswer(nil, true, cluster.Errorf(cluster.KindDenied, "op", "text")))
	f.Add([]byte{0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, _, err := decodeAnswer(b); (err == nil) != (len(b) > 0 && b[0] == 0) {
			t.Fatalf("decodeAnswer(%x) = %v", b, err)
		}
	})
}

func BenchmarkResolve(b *testing.B) {
	c := clustertest.New(1, mail.Types())
	d, err := New(c.Node(1), Config{Credentials: cheap})
	if err != nil {
		b.Fatal(err)
	}
	credential, err := d.NewCredential("secret")
	if err != nil {
		b.Fatal(err)
	}
	contents, err := encodeRecord(&Profile{Version: 1, Credential: credential})
	if err != nil {
		b.Fatal(err)
	}
	c.Put(1, cluster.Object{ID: userID("u@x.test"), Replicas: cluster.NewReplicaSet(1)}, contents)
	a := mail.Address{Local: "u", Domain: "x.test"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Resolve(context.Background(), a); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	credential := Credential{Password: "$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
	contents, err := encodeRecord(&Profile{Version: 1, Credential: credential})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("whole", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decodeProfile(contents); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("mail part", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decodeMailPart(contents); err != nil {
				b.Fatal(err)
			}
		}
	})
}
