package daemon

import (
	"slices"
	"testing"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// V1: mail is deleted as nobody's only if it is a former user's, by the floor that the profile or the
// tombstone gives, or so old that even the tombstone has gone.
func TestV1_Orphans(t *testing.T) {
	d := assembled(t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for d.node.Ready() != nil {
		<-tick.C
	}
	ctx, p := t.Context(), people{d}
	message := func(user string, at time.Time) cluster.Object {
		return cluster.Object{ID: mail.NewMessageID().Object(mail.User(user)), Timestamp: cluster.Timestamp{Time: at.UnixNano(), Node: 1}}
	}
	check := func(when, user string, objects []cluster.Object, want ...int) {
		t.Helper()
		found, err := d.orphans(ctx, user, objects)
		var got []int
		for _, f := range found {
			got = append(got, slices.IndexFunc(objects, func(o cluster.Object) bool { return o.ID == f.ID }))
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: orphans of %s = %v, %v; want %v", when, user, got, err, want)
		}
	}
	const ann, zed = "ann@x.example", "zed@x.example"
	if err := p.AddDomain(ctx, admin.Domain{Domain: "x.example"}); err != nil {
		t.Fatal(err)
	}
	if err := p.AddUser(ctx, ann, "s3cret-one"); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	anns := []cluster.Object{message(ann, now.Add(-1000*time.Hour)), message(ann, now.Add(-time.Minute)), message(ann, now.Add(time.Hour))}
	check("she has an account", ann, anns)
	if err := p.RemoveUser(ctx, ann); err != nil {
		t.Fatal(err)
	}
	check("she was removed", ann, anns, 0, 1)
	if err := p.AddUser(ctx, ann, "s3cret-two"); err != nil {
		t.Fatal(err)
	}
	check("somebody else has the name", ann, anns, 0, 1)
	grace := d.cfg.Upkeep.Grace.D()
	zeds := []cluster.Object{message(zed, now.Add(-3*grace)), message(zed, now.Add(-grace)), message(zed, now)}
	check("nothing is known of the name", zed, zeds, 0)
	card := cluster.Object{ID: cluster.ObjectID{Type: mail.TypeUser, Owner: zed, ID: "x"}, Timestamp: zeds[0].Timestamp}
	check("it is no message", zed, []cluster.Object{card})
}

// The only node cannot be drained, nor one that is not a member.
func TestDrainOfTheOnlyNode(t *testing.T) {
	cfg := loopback(t)
	client, _, stop := start(t, cfg)
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	s, err := client.Status(t.Context())
	if err != nil || len(s.Members) != 1 || s.Members[0].Upkeep == nil {
		t.Fatalf("Status = %+v, %v; want what the member's upkeep does", s, err)
	}
	if err := client.Drain(t.Context(), s.Node.String(), admin.DrainOptions{FewerCopies: true}); !cluster.IsKind(err, cluster.KindInvalid) {
		t.Errorf("Drain of the only node = %v, want invalid", err)
	}
	if err := client.Drain(t.Context(), "00000000000000aa", admin.DrainOptions{}); !cluster.IsKind(err, cluster.KindNotFound) {
		t.Errorf("Drain of a stranger = %v, want not found", err)
	}
	if v, err := client.VerifyCluster(t.Context(), admin.VerifyOptions{Contents: true}); err != nil || !v.OK {
		t.Errorf("VerifyCluster = %+v, %v", v, err)
	}
}
