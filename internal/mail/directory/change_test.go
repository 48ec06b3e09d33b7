package directory

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"
	"testing"
	"testing/synctest"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
)

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
