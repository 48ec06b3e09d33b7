package index

import (
	"context"
	"maps"
	"math"
	"slices"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/folders"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/uidledger"
)

func (s *state) answerFolders() *talk.Answer {
	a := &talk.Answer{}
	for _, f := range s.tree.List() {
		if len(a.Folders) < talk.FoldersMax {
			a.Folders = append(a.Folders, backend.Folder{Name: f.Name, ID: f.ID, Exists: f.Exists, Subscribed: f.Subscribed, Use: f.Use})
		}
	}
	return a
}

// answerCreate makes a folder.
func (s *state) answerCreate(ctx context.Context, q *talk.Question) (*talk.Answer, error) {
	at, err := s.stamp(ctx, s.treeAt.Timestamp)
	if err != nil {
		return nil, err
	}
	tree, made, err := s.tree.Create(q.Name, q.Use, drawn(q.Request), at)
	if err != nil {
		if f, ok := s.madeBy(q, q.Name); ok {
			return &talk.Answer{Folder: f.ID}, nil
		}
		return nil, err
	}
	return s.made(ctx, tree, made)
}

// made writes a tree with new folders: the one that was asked for, and those above it that were missing.
func (s *state) made(ctx context.Context, tree *folders.Tree, made folders.Folder) (*talk.Answer, error) {
	if err := s.beginNew(ctx, tree); err != nil { // BEFORE the tree has them
		return nil, err
	}
	if err := s.writeTree(ctx, tree); err != nil {
		return nil, err
	}
	s.b.notify()
	return &talk.Answer{Folder: made.ID}, nil
}

// beginNew begins the ledgers of all folders that a tree has and the one before had not. Whoever finds a folder in the tree finds
// out by that which ledger replicas it has, and that nothing is in it, from any one of them: without a ledger neither is known
// while any node is away.
func (s *state) beginNew(ctx context.Context, tree *folders.Tree) error {
	for _, f := range tree.List() {
		if _, was := s.tree.Folder(f.ID); !f.Exists || was || s.folders[f.ID] != nil {
			continue
		}
		if err := s.reveal(ctx, s.beginFolder(f.ID, s.validity(&f))); err != nil {
			s.broken = true
			return err
		}
	}
	return nil
}

// answerDelete expunges all messages of a folder, a page in each turn, and then takes it away.
func (s *state) answerDelete(ctx context.Context, q *talk.Question) (*talk.Answer, error) {
	if s.deletedBy(q) {
		return &talk.Answer{}, nil
	}
	if s.isAnother(q) { // by now: it may be the second turn
		return nil, cluster.Errorf(cluster.KindNotFound, "delete "+q.Name, "it was renamed meanwhile, and another folder has got its name")
	}
	at, err := s.stamp(ctx, s.treeAt.Timestamp)
	if err != nil {
		return nil, err
	}
	_, gone, err := s.tree.Delete(q.Name, at) // it may be refused
	if err != nil {
		return nil, err
	}
	f, err := s.shown(ctx, gone.ID)
	if err != nil {
		return nil, err
	}
	ids := s.idsOf(f)
	page := ids[:min(len(ids), talk.PageMax)]
	if err := s.expunge(ctx, f, page); err != nil {
		return nil, err
	}
	if len(page) < len(ids) {
		q.Folder = gone.ID // a node of the version before does not say it, and the name may be another folder's in the next turn
		return nil, errGoOn
	}
	if at, err = s.stamp(ctx, s.treeAt.Timestamp); err != nil {
		return nil, err
	}
	tree, _, err := s.tree.Delete(q.Name, at)
	if err != nil {
		return nil, err
	}
	if err := s.writeTree(ctx, tree); err != nil {
		return nil, err
	}
	s.b.notify()
	return &talk.Answer{}, nil
}

// idsOf gives the messages that a folder shows.
func (s *state) idsOf(f *folder) (ids []mail.MessageID) {
	f.ledger.View().Range(1, math.MaxUint32, func(e *uidledger.Entry) bool {
		if _, ok := s.homeOf(e.ID); ok {
			ids = append(ids, e.ID)
		}
		return true
	})
	return ids
}

// answerRename renames a folder; of INBOX it moves the messages (RFC 9051 §6.3.6).
func (s *state) answerRename(ctx context.Context, q *talk.Question) (*talk.Answer, error) {
	if f, ok := s.renamedBy(q); ok {
		return &talk.Answer{Folder: f.ID}, nil
	}
	if s.isAnother(q) {
		return nil, cluster.Errorf(cluster.KindNotFound, "rename "+q.Name, "it was renamed or deleted meanwhile, and another folder has got its name")
	}
	at, err := s.stamp(ctx, s.treeAt.Timestamp)
	if err != nil {
		return nil, err
	}
	tree, renamed, err := s.tree.Rename(q.Name, q.To, drawn(q.Request), at)
	if err != nil {
		from, _ := s.tree.Find(q.Name) // INBOX is always found
		if f, ok := s.madeBy(q, q.To); ok && from.ID == mail.Inbox && from.Name != "" {
			return s.emptyInbox(ctx, f.ID) // what is left there is moved yet
		}
		return nil, err
	}
	a, err := s.made(ctx, tree, renamed.Folder)
	if err != nil || !renamed.Empty {
		return a, err
	}
	return s.emptyInbox(ctx, renamed.Folder.ID)
}

// emptyInbox moves all messages of INBOX into another folder, a page in each turn: the next one finds that the folder was made by the same
// question (madeBy).
func (s *state) emptyInbox(ctx context.Context, id mail.FolderID) (*talk.Answer, error) {
	from, err := s.shown(ctx, mail.Inbox)
	if err != nil {
		return nil, err
	}
	to, err := s.shown(ctx, id)
	if err != nil {
		return nil, err
	}
	ids := s.idsOf(from)
	page := ids[:min(len(ids), talk.PageMax)]
	if err := s.move(ctx, page, from, to); err != nil {
		return nil, err
	}
	s.b.notify(from.id, to.id)
	if len(page) < len(ids) {
		return nil, errGoOn
	}
	return &talk.Answer{Folder: id}, nil
}

func (s *state) answerSubscribe(ctx context.Context, q *talk.Question) (*talk.Answer, error) {
	at, err := s.stamp(ctx, s.treeAt.Timestamp)
	if err != nil {
		return nil, err
	}
	tree, err := s.tree.Subscribe(q.Name, q.On, at)
	if err != nil {
		return nil, err
	}
	return &talk.Answer{}, s.writeTree(ctx, tree)
}

func (s *state) answerMetadata(q *talk.Question) (*talk.Answer, error) {
	values, err := s.tree.Annotations(q.Name)
	if err != nil {
		return nil, err
	}
	a := &talk.Answer{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if len(a.Values) < talk.ValuesMax {
			a.Values = append(a.Values, talk.Value{Name: name, Value: values[name]})
		}
	}
	return a, nil
}

func (s *state) answerSetMetadata(ctx context.Context, q *talk.Question) (*talk.Answer, error) {
	at, err := s.stamp(ctx, s.treeAt.Timestamp)
	if err != nil {
		return nil, err
	}
	values := make(map[string]*string, len(q.Values)+len(q.Cleared))
	for i := range q.Values {
		values[q.Values[i].Name] = &q.Values[i].Value
	}
	for _, name := range q.Cleared {
		values[name] = nil
	}
	tree, err := s.tree.Annotate(q.Name, values, at)
	if err != nil {
		return nil, err
	}
	return &talk.Answer{}, s.writeTree(ctx, tree)
}

// answerFind says which folder a name is, for what is to be stored there.
func (s *state) answerFind(q *talk.Question) (*talk.Answer, error) {
	f, err := s.tree.Find(q.Name)
	if err != nil {
		return nil, err
	}
	if err := s.closed(f.ID); err != nil { // BEFORE anything is stored that could not be shown
		return nil, err
	}
	if f.ID == mail.Inbox {
		return &talk.Answer{}, nil
	}
	return &talk.Answer{Folder: f.ID}, nil
}

// isChange reports whether a question changes something, so that it must be carried out once.
func isChange(op talk.Op) bool {
	switch op {
	case talk.OpCreate, talk.OpDelete, talk.OpRename, talk.OpSubscribe, talk.OpStore, talk.OpMove, talk.OpExpunge, talk.OpPlaced, talk.OpSetMetadata:
		return true
	}
	return false
}

// errUnknown is the answer to a question that a newer program asks.
func errUnknown(op talk.Op) error {
	return cluster.Errorf(cluster.KindUnavailable, "answer a question about mail", "question %d is unknown here: is this node of an older version?", op)
}
