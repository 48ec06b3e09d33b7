package index

import (
	"cmp"
	"context"
	"slices"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/survey"
	"porcupine/internal/mail/uidledger"
)

// surveysMax is how often a listing is made again because a fragment came while it was made.
const surveysMax = 4

// list lists the messages. sure says that no fragment came meanwhile: then what is not in the listing lies nowhere
// where it was looked for. e is what was known after the listing.
func (s *state) list(ctx context.Context, e *cluster.Entry) (l survey.Listing, sure bool, err error) {
	op := "list the mail of " + string(s.user)
	for range surveysMax {
		s.unsettled = time.Time{}
		if len(s.x.survey.Newcomers()) > 0 {
			s.unsettled = time.Now().Add(survey.SettleAfter)
		}
		if _, err = s.b.follow(ctx, holdersOf(e)); err != nil { // BEFORE the listing
			return l, false, err
		}
		if l, err = s.x.survey.List(ctx, e, s.floor); err != nil {
			return l, false, err
		}
		after, ok := s.x.cluster.LocalEntry(ctx, string(s.user))
		if !ok || after.Knowledge == cluster.Partial {
			return l, false, cluster.Errorf(cluster.KindUnavailable, op, "this node is hearing from the others again: try again in a moment")
		}
		sure = covers(e.Fragments, after.Fragments)
		*e = after
		if sure {
			return l, true, nil
		}
	}
	s.b.missed() // what came last was not listed
	return l, false, nil
}

// covers reports whether whoever has asked the holders of the fragments before has asked holders of all those after.
func covers(before, after []cluster.Placed) bool {
	for i := range after {
		f := &after[i]
		if f.Type != mail.TypeMessage || len(f.Holders) == 0 {
			continue
		}
		if !slices.ContainsFunc(before, func(g cluster.Placed) bool {
			return g.Type == f.Type && len(g.Holders) > 0 && g.Replicas.Equal(f.Replicas)
		}) {
			return false
		}
	}
	return true
}

// relist lists the messages again, and takes in what has come and gone.
func (s *state) relist(ctx context.Context, e *cluster.Entry) error {
	s.x.figures.relists.Add(1)
	l, sure, err := s.list(ctx, e)
	if err != nil {
		return err
	}
	listed := s.take(&l)
	s.listed = e.Fragments
	var missing []mail.MessageID
	for id := range s.messages {
		if _, ok := listed[id]; !ok {
			missing = append(missing, id)
		}
	}
	if !sure {
		return nil
	}
	if err := s.settleMissing(ctx, e, missing); err != nil {
		return err
	}
	return s.settleAbsent(ctx, e, sure)
}

// gone gives those of the messages that are proven to be no more. A listing asks one holder of each fragment, which may
// lack what another one has; so all holders are asked, and twice, since a message may move from one to another while
// they are; and all in one view: who left it meanwhile was not asked. proves says whether the nodes that answered are enough for one message. Ascending.
func (s *state) gone(ctx context.Context, e *cluster.Entry, ids []mail.MessageID, proves func(mail.MessageID, cluster.ReplicaSet) bool) ([]mail.MessageID, error) {
	for range 2 {
		nodes := holdersOf(e)
		for _, id := range ids {
			if m := s.messages[id]; m != nil {
				nodes = nodes.Union(m.place.nodes)
			}
		}
		found, answered, err := s.ids(ctx, nodes)
		if err != nil {
			return nil, err
		}
		after, ok := s.x.cluster.LocalEntry(ctx, string(s.user))
		if !ok || !covers(e.Fragments, after.Fragments) {
			return nil, nil // a fragment came meanwhile: the next listing finds it
		}
		if t, err := s.x.termOf(s.user); err != nil || t != s.term {
			return nil, nil //nolint:nilerr // the next index that is built finds it
		}
		ids = slices.DeleteFunc(ids, func(id mail.MessageID) bool {
			_, ok := found[id]
			return ok || !proves(id, answered)
		})
		if len(ids) == 0 {
			return nil, nil
		}
	}
	slices.SortFunc(ids, compareIDs)
	return ids, nil
}

// ids asks nodes for the messages that they have. answered are those that did and have been members for a while: a node that
// has just come back may lack what came while it was away.
func (s *state) ids(ctx context.Context, nodes cluster.ReplicaSet) (found map[mail.MessageID]struct{}, answered cluster.ReplicaSet, err error) {
	found = make(map[mail.MessageID]struct{})
	view, newcomers := s.x.cluster.View(), s.x.survey.Newcomers()
	for _, node := range nodes {
		if !view.Contains(node) {
			continue
		}
		objects, err := s.x.cluster.List(ctx, node, string(s.user), mail.TypeMessage)
		if err != nil {
			return nil, nil, cluster.Errorf(cluster.KindUnavailable, "look for the mail of "+string(s.user), "%w", err)
		}
		for i := range objects {
			if id, err := mail.ParseMessageID(objects[i].ID.ID); err == nil {
				found[id] = struct{}{}
			}
		}
		if !newcomers.Contains(node) {
			answered = answered.Union(cluster.ReplicaSet{node})
		}
	}
	return found, answered, nil
}

// take takes in a listing, and gives the ids in it.
func (s *state) take(l *survey.Listing) map[mail.MessageID]struct{} {
	listed := make(map[mail.MessageID]struct{}, len(l.Messages))
	for i := range l.Messages {
		m := &l.Messages[i]
		id, err := mail.ParseMessageID(m.Object.ID.ID)
		if err != nil {
			continue // no message of ours
		}
		listed[id] = struct{}{}
		s.put(id, &m.Object, cluster.NewReplicaSet(m.Holders...), m.Nodes)
	}
	s.arrive()
	return listed
}

// put takes in a message as a node has it; it is new, or known. said are the nodes that have listed it themselves. AFTER
// the last one comes arrive.
func (s *state) put(id mail.MessageID, o *cluster.Object, said, nodes cluster.ReplicaSet) {
	if o.Timestamp.Compare(s.floor) <= 0 {
		return
	}
	if _, dead := s.dead[id]; dead {
		s.found(id, o, nodes.Union(said))
		return
	}
	m, known := s.messages[id]
	switch {
	case !known:
		m = s.newMessage(id, o)
	case o.Timestamp == m.version:
		said, nodes = m.place.said.Union(said), m.place.nodes.Union(nodes)
	case m.isTwin(o):
		said, nodes = m.withTwin(o, said, nodes)
	case o.Timestamp.Compare(m.version) < 0:
		return
	}
	m.version, m.place = latest(m.version, o.Timestamp), s.placeOf(said, nodes)
	if known {
		return
	}
	h, was := s.absent[id]
	if !was {
		h = home{folder: s.tree.Home(m.home.folder), stay: m.home.stay}
		if !s.isNewIn(m.home.folder, m) {
			h = s.inClosed(h.stay)
		}
	}
	s.messages[id] = m
	delete(s.absent, id)
	if m.home = h; !h.hasUID {
		s.arriving = append(s.arriving, id)
	}
}

// arrive tells the ledgers of the messages that were put, the oldest first: so they get their UIDs. Those that the question under way
// places wait for it.
func (s *state) arrive() {
	var placed []mail.MessageID
	s.arriving = slices.DeleteFunc(s.arriving, func(id mail.MessageID) bool {
		wait := s.b.placing[id]
		if wait {
			placed = append(placed, id)
		}
		return wait || s.messages[id] == nil // it has gone meanwhile
	})
	slices.SortFunc(s.arriving, func(a, b mail.MessageID) int {
		m, n := s.messages[a], s.messages[b]
		return cmp.Or(cmp.Compare(m.received, n.received), m.home.stay.Compare(n.home.stay), compareIDs(a, b))
	})
	arrivals := make(map[mail.FolderID][]uidledger.Arrival)
	for _, id := range s.arriving {
		h := s.messages[id].home
		arrivals[h.folder] = append(arrivals[h.folder], uidledger.Arrival{ID: id, Stay: h.stay})
	}
	s.arriving = placed
	for f, a := range arrivals {
		s.folder(f).ledger.Arrive(a...)
		s.touch(f)
	}
}

// newMessage reads what an object says. Its home is what its attributes say.
func (s *state) newMessage(id mail.MessageID, o *cluster.Object) *message {
	m := &message{received: o.Timestamp.Time, size: o.Size, email: id}
	if a, err := mail.ParseMessageAttr(o.Attr); err == nil { // else the time of the update, which is close
		m.received, m.home.folder = a.Received.UnixNano(), a.Folder
		if a.Email != (mail.MessageID{}) {
			m.email = a.Email
		}
	}
	// The same on both sides of a partition, and older than any move: a client's date may lie in the future.
	m.home.stay = cluster.Timestamp{Time: max(1, min(m.received, o.Timestamp.Time))}
	return m
}

// placeOf gives a place that all messages of the same nodes share.
func (s *state) placeOf(said, nodes cluster.ReplicaSet) *place {
	nodes = nodes.Union(said)
	key := said.Key() + "/" + nodes.Key()
	p := s.places[key]
	if p == nil {
		p = &place{said: said, nodes: nodes}
		s.places[key] = p
	}
	return p
}

// bury takes a message out of the index that is gone.
func (s *state) bury(ids ...mail.MessageID) {
	for _, id := range ids {
		m, ok := s.messages[id]
		if !ok {
			continue
		}
		delete(s.messages, id)
		s.depart(m.home.folder, id)
	}
}

// apply takes in what the feed told. false: the messages must be listed again.
func (s *state) apply(changes []cluster.Change) bool {
	defer s.arrive()
	for i := range changes {
		c := &changes[i]
		id, err := mail.ParseMessageID(c.Object.ID.ID)
		if err != nil || c.Object.ID.Type != mail.TypeMessage || c.Object.ID.Owner != string(s.user) {
			continue
		}
		m, known := s.messages[id]
		if c.State != cluster.ChangeStored {
			if known {
				return false // deleted, or it lies elsewhere
			}
			if c.State == cluster.ChangeRemoved && c.Object.Deleted {
				if _, was := s.dead[id]; !was {
					s.dead[id] = cluster.Timestamp{} // what is told or asked of it later comes too late
				}
			}
			continue
		}
		if known && c.Object.Timestamp.Compare(m.version) <= 0 && !m.isTwin(&c.Object) {
			continue // as it is known, or older: of a holder that is behind
		}
		if at := s.dead[id]; !at.IsZero() {
			return false // to be deleted, but for what another holder has of it
		}
		s.put(id, &c.Object, nil, c.Object.Replicas)
	}
	return true
}

// settleHomes gives all messages of the first listing their folders: of the newest stay in any ledger, else what their
// attributes say.
func (s *state) settleHomes(l *survey.Listing) {
	homes := make(map[mail.MessageID]home)
	for _, id := range s.folderIDs() {
		s.folders[id].ledger.Stays(func(st uidledger.Stay) {
			h, ok := homes[st.ID]
			switch {
			case st.Expunged:
				s.takeDead(&st)
			case !ok || h.stay.Compare(st.Since) < 0:
				homes[st.ID] = home{id, st.Since, st.Live}
			case h.folder == id && st.Live:
				homes[st.ID] = home{id, h.stay, true}
			}
		})
	}
	for id := range s.dead {
		delete(homes, id)
	}
	s.hide(homes)
	s.absent = homes
	s.take(l)
	// A MOVE that was broken off has written the newer stay and not retired the older one. What was expunged in one folder
	// while it was moved on the other side of a partition is gone (L11).
	for _, id := range s.folderIDs() {
		var left []uidledger.Departure
		s.folders[id].ledger.Stays(func(st uidledger.Stay) {
			if _, dead := s.dead[st.ID]; dead && st.Live {
				left = append(left, uidledger.Departure{ID: st.ID, Deleted: true})
			} else if h, ok := s.homeOf(st.ID); ok && st.Live && h.folder != id {
				left = append(left, uidledger.Departure{ID: st.ID, Stay: justAfter(h.stay)})
			}
		})
		s.folders[id].ledger.Depart(left...)
	}
}

// justAfter is the next stamp that there can be: a departure with it ends stays up to this one, and none that is later.
// Of two folders that know a message since the same time (what its attributes say) one is its home.
func justAfter(stay cluster.Timestamp) cluster.Timestamp {
	if stay.Node++; stay.Node == cluster.NoNode {
		stay.Time++
	}
	return stay
}

func compareIDs(a, b mail.MessageID) int { return slices.Compare(a[:], b[:]) }
