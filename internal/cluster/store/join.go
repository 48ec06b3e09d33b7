package store

import (
	"bytes"
	"context"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
)

// join gives, for an update of a type that merges, the update that takes the place of it and of the
// copy if neither of them has all that the other has (replication.Join); nil if one has.
func (c *committer) join(st *staged, have replication.State) (*staged, error) {
	id := st.object.ID
	mine := c.inline[id]
	if err := verifyContents(have.Object, mine); err != nil {
		return nil, err // the damage must be healed first, or one of the two would be lost
	}
	c.update.Object.Attr = st.attr
	j := replication.Join(c.s.format.Node, have, mine, &c.update, st.contents(), c.s.types[id.Type].Merge)
	c.update.Object.Attr = nil
	if j == nil {
		return nil, nil
	}
	j.Update.Object.Timestamp = c.s.cfg.Stamp()
	for _, before := range []cluster.Timestamp{st.object.Timestamp, newestOf(have)} {
		if j.Update.Object.Timestamp.Compare(before) <= 0 {
			return nil, cluster.Errorf(cluster.KindUnavailable, "join", "no timestamp later than that of the update could be given now: try again")
		}
	}
	body := bytes.NewReader(j.Contents)
	if err := c.s.check(&j.Update, body); err != nil {
		c.s.cfg.Logger.Warn("store: two updates cannot be joined, the newer one wins", "object", id.ID, "type", id.Type, "owner", id.Owner, "err", err)
		return nil, nil
	}
	joined := &staged{joined: true}
	if err := c.s.stage(context.Background(), joined, &j.Update, body); err != nil {
		return nil, err
	}
	return joined, nil
}

// decideJoined commits a joined update in place of the one that came. That one is older than it.
func (c *committer) decideJoined(joined *staged, err error, result *Result) error {
	if err != nil {
		return err
	}
	err = c.decide(joined, result)
	result.Verdict = replication.Older
	return err
}
