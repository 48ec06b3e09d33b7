package admin

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porcupine/internal/cluster"
)

// fakeKeeper drains nodes and verifies as told.
type fakeKeeper struct {
	draining map[cluster.NodeID]bool
	fewer    bool
	options  VerifyOptions
	found    Verification
	fail     error
}

func (k *fakeKeeper) Drain(_ context.Context, id cluster.NodeID, o DrainOptions) error {
	k.draining[id], k.fewer = !o.Cancel, o.FewerCopies
	return k.fail
}

func (k *fakeKeeper) Verify(_ context.Context, o VerifyOptions) (Verification, error) {
	k.options = o
	return k.found, k.fail
}

func TestDrainAndVerify(t *testing.T) {
	d := open(t)
	ctx, id := t.Context(), cluster.NodeID(0xaa)
	for _, o := range []DrainOptions{{}, {Cancel: true}, {FewerCopies: true}} {
		if err := d.client.Drain(ctx, id.String(), o); err != nil || d.keeper.draining[id] == o.Cancel || d.keeper.fewer != o.FewerCopies {
			t.Errorf("Drain(%+v) = %v, %+v", o, err, d.keeper)
		}
	}
	if err := d.client.Drain(ctx, "node3", DrainOptions{}); !cluster.IsKind(err, cluster.KindInvalid) || !strings.Contains(err.Error(), "node list") {
		t.Errorf("Drain of what is no id = %v", err)
	}
	d.keeper.found = Verification{Members: 3, Objects: 5, Compared: 10, Divergences: 1, Details: []string{"one differs"}}
	o := VerifyOptions{Contents: true, Wait: time.Second}
	v, err := d.client.VerifyCluster(ctx, o)
	if diff := cmp.Diff(d.keeper.found, v); err != nil || diff != "" || d.keeper.options != o {
		t.Errorf("VerifyCluster(%v) = %v, options %v (-want +got):\n%s", o, err, d.keeper.options, diff)
	}
	d.keeper.fail = cluster.Errorf(cluster.KindUnavailable, "verify", "a member does not answer")
	if _, err := d.client.VerifyCluster(ctx, o); !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("VerifyCluster = %v, want unavailable", err)
	}
	if err := d.client.Drain(ctx, id.String(), DrainOptions{}); !cluster.IsKind(err, cluster.KindUnavailable) {
		t.Errorf("Drain = %v, want unavailable", err)
	}
}
