package index

import (
	"context"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/folders"
	"porcupine/internal/mail/uidledger"
)

// state is the index of one user, as of one term. It belongs to whoever has the user's turn.
type state struct {
	x    *Indexes
	b    *box
	user mail.User
	term term

	floor   cluster.Timestamp
	profile cluster.Object // its replicas are those of the tree and of the ledgers
	listed  []cluster.Placed
	// unsettled is until when there may be newcomers of the time of the last listing: what they alone have was left out of it, and what
	// they lack was not proven to be gone. Zero: there were none.
	unsettled time.Time
	tree      *folders.Tree
	treeAt    cluster.Object // as it lies; zero: it was never written

	messages map[mail.MessageID]*message
	places   map[string]*place
	arriving []mail.MessageID        // put, and not yet told to their ledgers
	absent   map[mail.MessageID]home // in a ledger, and in no listing
	// dead are those that are deleted: what is told of them late does not count. With the time of the expunge if they have still
	// to be deleted where they turn up (condemned.go); doomed are those that did, and where.
	dead   map[mail.MessageID]cluster.Timestamp
	doomed map[mail.MessageID]cluster.ReplicaSet
	unsaid map[mail.FolderID]bool // folders that messages have left which are gone, and whose ledgers do not say it yet (part.go)

	folders  map[mail.FolderID]*folder
	read     cluster.ReplicaSet     // nodes whose ledgers were read whole
	unread   bool                   // a member's ledgers could not be (unreadWait)
	away     map[mail.FolderID]bool // existing folders whose ledgers may lie on nodes that are away (away.go)
	since    time.Time              // when its building ended
	took     time.Duration          // to build it
	patient  bool                   // members that do not answer are waited for, if a folder's ledger is missing
	headed   map[mail.FolderID]bool // folders of which a ledger's head was read
	unheaded map[mail.FolderID]bool // folders with chunks that no head is known for
	lost     map[mail.FolderID]bool // of these, those of which no head is anywhere
	recent   []repeat
	ledgers  map[mail.FolderID][]piece // the objects of their ledgers, as they were read
	damaged  map[mail.FolderID]error   // folders whose ledger some node has that cannot be read
	deciding map[mail.FolderID]bool    // folders of which a replica knows newer ledger replicas than any head
	again    bool                      // building it has failed before: no ledger replicas are proposed
	broken   bool                      // something was written in part: what is on the disks counts
}

// message is what is known of one message beside what its folder's ledger says.
type message struct {
	version  cluster.Timestamp
	received int64 // nanoseconds since 1970
	size     int64
	email    mail.MessageID
	home     home
	place    *place
}

// home is a folder, and since when a message is in it.
type home struct {
	folder mail.FolderID
	stay   cluster.Timestamp
	hasUID bool // there, by the ledger, when the index was built
}

// place is where messages lie; many share one.
type place struct {
	said  cluster.ReplicaSet // that have listed it: one of them that has it no more proves that it is gone
	nodes cluster.ReplicaSet // all that may have it, and must hear of a deletion
}

// folder is one folder's ledger.
type folder struct {
	id     mail.FolderID
	ledger *uidledger.Manager
	status *status // nil: to be counted
	// changes are what one session after the other is being told; nil: nothing.
	changes *changes
}

// What parts of an index cost, in bytes, about.
const (
	messageCost = 320 // with its entry in a ledger
	folderCost  = 4 << 10
)

// cost is what the index takes, in bytes, about.
func (s *state) cost() int64 {
	bytes := int64(len(s.messages)+len(s.absent))*messageCost + int64(len(s.dead))*48 + int64(len(s.folders))*folderCost
	for i := range s.recent {
		bytes += int64(len(s.recent[i].answer))
	}
	for _, f := range s.folders {
		bytes += f.ledger.View().RegistersBytes() + f.changes.cost()
	}
	return bytes
}

// Pauses between two looks at an incomplete bucket.
const (
	pauseFirst = 10 * time.Millisecond
	pauseMax   = 200 * time.Millisecond
)

// load builds the index. While the bucket is incomplete, or a node that should hold something does not answer,
// it begins again, up to CompleteWait: either the node answers again, or the next view is without it (V2).
func (x *Indexes) load(ctx context.Context, b *box) (*state, error) {
	op := "build the index of " + string(b.user)
	deadline := time.Now().Add(x.cfg.CompleteWait)
	tries := 0
	for pause := pauseFirst; ; pause = min(2*pause, pauseMax) {
		t, err := x.termOf(b.user)
		if err != nil {
			return nil, err
		}
		e, ok := x.cluster.LocalEntry(ctx, string(b.user))
		switch {
		case !ok:
			return nil, cluster.Errorf(cluster.KindUnavailable, op, "this node does not manage the user now")
		case e.Knowledge == cluster.Partial:
			err = cluster.Errorf(cluster.KindUnavailable, op, "this node is still hearing from the others: try again in a moment")
		default:
			s := &state{x: x, b: b, user: b.user, term: t, messages: make(map[mail.MessageID]*message), places: make(map[string]*place),
				absent: make(map[mail.MessageID]home), dead: make(map[mail.MessageID]cluster.Timestamp), doomed: make(map[mail.MessageID]cluster.ReplicaSet), unsaid: make(map[mail.FolderID]bool), folders: make(map[mail.FolderID]*folder), headed: make(map[mail.FolderID]bool), lost: make(map[mail.FolderID]bool), unheaded: make(map[mail.FolderID]bool), deciding: make(map[mail.FolderID]bool), damaged: make(map[mail.FolderID]error), ledgers: make(map[mail.FolderID][]piece),
				away: make(map[mail.FolderID]bool), since: time.Now()}
			s.patient = deadline.Sub(s.since) > x.cfg.CompleteWait/2
			s.again = tries > 0
			tries++
			if err = s.build(ctx, &e); err == nil {
				x.figures.loads.Add(1)
				s.took, s.since = time.Since(s.since), time.Now()
				if b.unread++; !s.unread {
					b.unread = 0
				}
				return s, nil
			}
			if k := cluster.KindOf(err); k != cluster.KindUnavailable && k != cluster.KindStale && k != cluster.KindBehind {
				return nil, err
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil || tries != 1 && !time.Now().Before(deadline) { // once more without proposals, in any case
			return nil, cluster.Errorf(cluster.KindUnavailable, op, "%w", err)
		}
	}
}

// build fills an empty index.
func (s *state) build(ctx context.Context, e *cluster.Entry) error {
	op := "build the index of " + string(s.user)
	var err error
	if s.floor, err = s.x.cfg.Floor(e); err != nil {
		return cluster.Errorf(cluster.KindOf(err), op, "%w", err)
	}
	profile, ok := e.Find(mail.TypeUser, "")
	if !ok || len(profile.Object.Replicas) == 0 {
		return cluster.Errorf(cluster.KindUnavailable, op, "the user's profile is not known now")
	}
	s.profile = profile.Object
	if err := s.readTree(e); err != nil {
		return err
	}
	if err := s.readLedgers(ctx, e); err != nil {
		return err
	}
	s.b.takeChanges() // what came before the listing is in it
	l, sure, err := s.list(ctx, e)
	if err != nil {
		return err
	}
	s.listed = e.Fragments
	if len(l.Messages) > s.x.cfg.MessagesMax {
		return cluster.Errorf(cluster.KindLimit, op, "there are %d messages, at most %d can be shown", len(l.Messages), s.x.cfg.MessagesMax)
	}
	s.settleHomes(&l)
	if err := s.settleAbsent(ctx, e, sure); err != nil {
		return err
	}
	if err := s.openAll(ctx, e); err != nil {
		return err
	}
	if err := s.settleTree(ctx); err != nil {
		return err
	}
	s.execute(ctx)
	if !sure {
		return nil
	}
	return s.tidy(ctx, e)
}

// openAll sees to it that all folders have their ledgers. A fresh user's are begun, with the replicas of the profile: with
// that these are written down, and when the profile moves, on two sides of a partition to two places, nobody begins
// other ones. Of another user, a ledger that is not found is away, and its folder closed (findAway). It
// is lost, and begun anew under a greater UIDVALIDITY (L12), only if no node is away that could have it. So is one whose replicas
// were removed for good.
func (s *state) openAll(ctx context.Context, e *cluster.Entry) error {
	fresh := s.isFresh() // until one is begun anew
	for _, id := range s.folderIDs() {
		if !s.lost[id] {
			continue
		}
		if err := s.beginAnew(ctx, id); err != nil {
			return err
		}
	}
	for _, f := range s.tree.List() {
		if !f.Exists || s.away[f.ID] || s.headed[f.ID] && !s.lost[f.ID] {
			continue
		}
		if (!fresh || s.unheaded[f.ID]) && !s.lost[f.ID] {
			if !s.hasAllLedgers(e) { // who was there when the ledgers were read is not any more, or the user is fresh
				return cluster.Errorf(cluster.KindUnavailable, "open folder "+f.ID.String()+" of "+string(s.user), "its ledger lies on nodes that are away")
			}
			if err := s.beginAnew(ctx, f.ID); err != nil {
				return err
			}
		}
		if _, err := s.shown(ctx, f.ID); err != nil {
			return err
		}
	}
	return nil
}

// hasAllLedgers reports that all nodes there are were read, as far as ledgers may lie on them, and that nothing was damaged.
func (s *state) hasAllLedgers(e *cluster.Entry) bool {
	return len(s.damaged) == 0 && s.hasAllNodes(e)
}

// hasAllNodes is hasAllLedgers, but for what was damaged.
func (s *state) hasAllNodes(e *cluster.Entry) bool {
	if e.Knowledge == cluster.Partial || s.x.cluster.KnownNodes() > len(s.x.cluster.View().Members) || len(s.x.survey.Newcomers()) > 0 {
		return false
	}
	for i := range e.Fragments {
		if f := &e.Fragments[i]; f.Type == mail.TypeLedger && (len(f.Holders) == 0 || !s.read.ContainsAll(cluster.NewReplicaSet(f.Holders...))) {
			return false
		}
	}
	return s.read.ContainsAll(s.profile.Replicas)
}

// refresh brings the index up to date: the entry, what the feed told, or a new listing.
func (s *state) refresh(ctx context.Context) error {
	op := "bring the index of " + string(s.user) + " up to date"
	e, ok := s.x.cluster.LocalEntry(ctx, string(s.user))
	if !ok || e.Knowledge == cluster.Partial {
		return cluster.Errorf(cluster.KindUnavailable, op, "this node is still hearing from the others: try again in a moment")
	}
	if floor, err := s.x.cfg.Floor(&e); err != nil || floor != s.floor {
		s.broken = true
		return cluster.Errorf(cluster.KindUnavailable, op, "the user's profile has changed: try again (%w)", err)
	}
	if p, ok := e.Find(mail.TypeUser, ""); ok && !p.Object.Replicas.Equal(s.profile.Replicas) {
		s.broken = true // the tree and the ledgers go where the profile went, when the index is built: a drained node gets rid of them
		return nil
	}
	changes, stale := s.b.takeChanges()
	began, err := s.b.follow(ctx, holdersOf(&e))
	if err != nil {
		s.b.missed()
		return err
	}
	if began || stale || s.hasSettled() || !covers(s.listed, e.Fragments) || !s.apply(changes) {
		s.b.takeChanges()
		if err := s.relist(ctx, &e); err != nil {
			s.b.missed()
			return err
		}
	}
	s.execute(ctx)
	if s.isToBeReadAgain() {
		if err := s.tell(context.WithoutCancel(ctx)); err != nil { // what it knew may have to be proven anew
			s.x.cfg.Logger.Warn("an index is built anew, and what is gone is not in the ledgers yet", "user", s.user, "err", err)
		}
		s.broken = true
	}
	if tree, ok := e.Find(mail.TypeFolders, ""); ok && tree.Object.Timestamp.Compare(s.treeAt.Timestamp) > 0 && tree.Object.Sum != s.treeAt.Sum {
		s.broken = true // another manager's: the folders in it have ledgers that were not read here, and must not be begun anew
	}
	return nil
}

// stamp gives a timestamp that is newer than another one.
func (s *state) stamp(ctx context.Context, than cluster.Timestamp) (cluster.Timestamp, error) {
	t, err := s.x.cluster.Timestamp(ctx)
	if err != nil {
		return t, cluster.Errorf(cluster.KindUnavailable, "change the mail of "+string(s.user), "%w", err)
	}
	if t.Compare(than) <= 0 {
		t.Time = than.Time + 1
	}
	return t, nil
}
