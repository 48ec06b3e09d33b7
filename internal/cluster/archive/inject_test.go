package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

// live is a cluster in memory.
type live struct {
	mu        sync.Mutex
	knowledge cluster.Knowledge
	floor     cluster.Timestamp
	objects   map[cluster.ObjectID]string // contents
	gone      map[cluster.ObjectID]bool   // tombstones
	order     []cluster.ObjectID          // as they were put
	fail      func(o cluster.Object) error
}

func newLive() *live {
	return &live{knowledge: cluster.Conclusive, objects: map[cluster.ObjectID]string{}, gone: map[cluster.ObjectID]bool{}}
}

func (l *live) Has(_ context.Context, owner string) (Has, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := Has{Knowledge: l.knowledge, Floor: l.floor}
	for id := range l.objects {
		if id.Owner == owner {
			h.Objects = append(h.Objects, Known{ID: id})
		}
	}
	for id := range l.gone {
		if id.Owner == owner {
			h.Objects = append(h.Objects, Known{ID: id, Deleted: true})
		}
	}
	return h, nil
}

func (l *live) Put(_ context.Context, o cluster.Object, body io.Reader) error {
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		if err := l.fail(o); err != nil {
			return err
		}
	}
	if _, ok := l.objects[o.ID]; ok {
		return cluster.Errorf(cluster.KindExists, "put", "it is there")
	}
	l.objects[o.ID] = string(text)
	delete(l.gone, o.ID)
	l.order = append(l.order, o.ID)
	return nil
}

// source opens a filled store for reading.
func source(t *testing.T) Store {
	t.Helper()
	clone := filepath.Join(t.TempDir(), "clone")
	if err := CloneStore(t.Context(), filled(t, clusterA), clone); err != nil {
		t.Fatal(err)
	}
	return openStore(t, clone, clusterA)
}

func injector(t *testing.T, s Store, l *live) *Injector {
	return &Injector{Store: s, Live: l, Profile: isProfile,
		Failed: func(what string, err error) { t.Logf("%s: %v", what, err) },
		Pause:  func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
}

func inject(t *testing.T, in *Injector) Injected {
	t.Helper()
	n, err := in.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func id(ty cluster.ObjectType, owner, name string) cluster.ObjectID {
	return cluster.ObjectID{Type: ty, Owner: owner + "@x.example", ID: name}
}

// A new, empty cluster gets everything, profiles first; a second run finds everything there.
func TestInjectIntoAnEmptyCluster(t *testing.T) {
	l, s := newLive(), source(t)
	n := inject(t, injector(t, s, l))
	if n.Owners != 3 || n.Objects != 15 || n.Put != 15 || n.Present+n.Ownerless+n.Failed+n.StayGone != 0 || len(l.objects) != 15 {
		t.Errorf("injected %+v; %d objects are there", n, len(l.objects))
	}
	if got := l.objects[id(message, "u2", "m3")]; got != strings.Repeat("2 3", 4000) {
		t.Errorf("a message has %d bytes", len(got))
	}
	seen := map[string]bool{}
	for _, o := range l.order {
		if o.Type == profile {
			seen[o.Owner] = true
		} else if !seen[o.Owner] {
			t.Errorf("%s got mail before the profile", o.Owner)
		}
	}
	if n := inject(t, injector(t, s, l)); n.Put != 0 || n.Present != 15 {
		t.Errorf("the second run injected %+v", n)
	}
}

// What is there stays as it is, what was removed stays so, mail without an owner is left, and one
// user alone can be asked for.
func TestInjectOnlyWhatLacks(t *testing.T) {
	s := source(t)
	l := newLive()
	l.objects[id(profile, "u0", "")] = "a newer profile"
	l.objects[id(message, "u0", "m1")] = "another text"
	l.gone[id(profile, "u1", "")] = true
	n := inject(t, injector(t, s, l))
	want := Injected{Owners: 3, Removed: 1, Objects: 15, Present: 2, Put: 3 + 5, StayGone: 1, Ownerless: 4, Bytes: n.Bytes}
	if n != want {
		t.Errorf("injected %+v, want %+v", n, want)
	}
	if l.objects[id(profile, "u0", "")] != "a newer profile" || l.objects[id(message, "u0", "m1")] != "another text" {
		t.Error("what was there was overwritten")
	}
	in := injector(t, s, l)
	in.Deleted, in.Wants = true, func(owner string) bool { return owner == "u1@x.example" }
	if n := inject(t, in); n.Put != 5 || n.Owners != 1 {
		t.Errorf("with Deleted, of one user: %+v, want 5 injected", n)
	}
}

// What a removed owner has beside the profile, cached or not, comes back with the profile or not at all.
func TestInjectFoldersAreNoProfile(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "store"), clusterA)
	owner := "zoe@x.example"
	put(t, s, profile, owner, "", "profile", 1)
	put(t, s, tree, owner, "", "folders", 2)
	put(t, s, message, owner, "m1", "text", 3)
	l := newLive()
	l.gone[id(profile, "zoe", "")] = true
	if n := inject(t, injector(t, s, l)); n.Put != 0 || n.Removed != 1 || n.Ownerless != 2 {
		t.Errorf("injected %+v, want nothing", n)
	}
	in := injector(t, s, l)
	in.Deleted = true
	if n := inject(t, in); n.Put != 3 || l.order[0].Type != profile {
		t.Errorf("with Deleted: %+v, in the order %v; want all three, the profile first", n, l.order)
	}
}

// What must not come back from a backup is left there, and counted nowhere.
func TestInjectLeavesWhatStays(t *testing.T) {
	l := newLive()
	in := injector(t, source(t), l)
	in.Stays = func(id cluster.ObjectID) bool { return !isProfile(id.Type) }
	n := inject(t, in)
	for id := range l.objects {
		if !isProfile(id.Type) {
			t.Errorf("%v was injected", id)
		}
	}
	if n.Put == 0 || n.Objects != n.Put {
		t.Errorf("Injected = %+v", n)
	}
}

// A1: mail of the former owner of a name does not go to the new one.
func TestA1_InjectLeavesAFormerOwnersMail(t *testing.T) {
	l := newLive()
	l.objects[id(profile, "u0", "")] = "another person"
	l.floor = cluster.Timestamp{Time: 3}
	in := injector(t, source(t), l)
	in.Deleted, in.Wants = true, func(owner string) bool { return owner == "u0@x.example" }
	// Of the messages m0 to m3 the first was written before the floor, the second at it or by a node after it.
	if n := inject(t, in); n.StayGone != 1 || n.Put != 3 || n.Present != 1 {
		t.Errorf("injected %+v, want 3 messages that are newer than the floor", n)
	}
}

func TestInjectDryRun(t *testing.T) {
	l := newLive()
	in := injector(t, source(t), l)
	var told []string
	in.DryRun, in.Report = true, func(o cluster.Object) { told = append(told, o.ID.Owner+" "+o.ID.ID) }
	n := inject(t, in)
	slices.Sort(told)
	if n.Put != 15 || len(l.objects) != 0 || len(told) != 15 || told[1] != "u0@x.example m0" {
		t.Errorf("a dry run: %+v, %d objects put, told %q", n, len(l.objects), told)
	}
}

// V1: out of ignorance nothing is injected.
func TestV1_InjectWaitsForKnowledge(t *testing.T) {
	l := newLive()
	l.knowledge = cluster.Partial
	n, err := injector(t, source(t), l).Run(t.Context())
	if !cluster.IsKind(err, cluster.KindUnavailable) || n.Put != 0 {
		t.Errorf("Run = %+v, %v, want KindUnavailable", n, err)
	}
}

// What fails for good is counted and passed over, what may pass ends the run, and the next run goes on.
func TestInjectFailures(t *testing.T) {
	l, s := newLive(), source(t)
	bad := id(message, "u0", "m0")
	l.fail = func(o cluster.Object) error {
		if o.ID == bad {
			return cluster.Errorf(cluster.KindInvalid, "put", "not this one")
		}
		return nil
	}
	if n := inject(t, injector(t, s, l)); n.Failed != 1 || n.Put != 14 {
		t.Errorf("with one refused: %+v", n)
	}
	l, away := newLive(), errors.New("the node went away")
	l.fail = func(cluster.Object) error {
		if len(l.objects) == 4 {
			return away
		}
		return nil
	}
	n, err := injector(t, s, l).Run(t.Context())
	if !errors.Is(err, away) || !strings.Contains(fmt.Sprint(err), "again") || n.Put != 4 {
		t.Errorf("Run = %+v, %v, want 4 injected and the failure", n, err)
	}
	l.fail = nil
	if n := inject(t, injector(t, s, l)); n.Put != 11 || n.Present != 4 {
		t.Errorf("resumed: %+v, want the other 11", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := injector(t, s, newLive()).Run(ctx); err == nil {
		t.Error("a run whose context had ended succeeded")
	}
}

// The rate is kept: the pauses add up to the bytes sent.
func TestInjectIsThrottled(t *testing.T) {
	in := injector(t, source(t), newLive())
	var total time.Duration
	in.Rate, in.Pause = 1000, func(_ context.Context, d time.Duration) error { total += d; return nil }
	n := inject(t, in)
	want := time.Duration(n.Bytes+int64(n.Put)*objectCost) * time.Millisecond
	if d := total - want; d < -time.Second || d > time.Second {
		t.Errorf("pauses of %v for %d bytes in %d objects, want about %v", total, n.Bytes, n.Put, want)
	}
	in.Rate = -1
	if _, err := in.Run(t.Context()); !cluster.IsKind(err, cluster.KindInvalid) {
		t.Errorf("a negative rate = %v", err)
	}
}
