package index

import (
	"context"
	"crypto/sha256"
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

// drawn gives the ids of one request, the same however often it comes.
func drawn(request [16]byte) func() mail.FolderID {
	n := byte(0)
	return func() (id mail.FolderID) {
		n++
		sum := sha256.Sum256(append(request[:], n))
		copy(id[:], sum[:])
		return id
	}
}

// answerCreate makes a folder.
func (s *state) answerCreate(ctx context.Context, q *talk.Question) (*talk.Answer, error) {
	at, err := s.stamp(ctx, s.treeAt.Timestamp)
	if err != nil {
		return nil, err
	}
	tree, made, err := s.tree.Create(q.Name, q.Use, drawn(q.Request), at)
	if err != nil {
		return nil, err
	}
	return s.made(ctx, tree, made)
}

// made writes a tree with a new folder, AFTER the new folder's ledger was begun: whoever finds the folder in the tree finds out
// which ledger replicas it has.
func (s *state) made(ctx context.Context, tree *folders.Tree, made folders.Folder) (*talk.Answer, error) {
	if made.Exists && s.folders[made.ID] == nil {
		f := s.beginFolder(made.ID, s.validity(&made))
		if err := s.reveal(ctx, f); err != nil {
			s.broken = true
			return nil, err
		}
	}
	if err := s.writeTree(ctx, tree); err != nil {
		return nil, err
	}
	s.b.notify()
	return &talk.Answer{Folder: made.ID}, nil
}

// answerDelete expunges all messages of a folder, and then takes it away.
func (s *state) answerDelete(ctx context.Context, q *talk.Question) (*talk.Answer, error) {
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
	for batch := range slices.Chunk(ids, talk.PageMax) {
		if err := s.expunge(ctx, f, batch); err != nil {
			return nil, err
		}
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
		if s.messages[e.ID] != nil {
			ids = append(ids, e.ID)
		}
		return true
	})
	return ids
}

// answerRename renames a folder; of INBOX it moves the messages (RFC 9051 §6.3.6).
func (s *state) answerRename(ctx context.Context, q *talk.Question) (*talk.Answer, error) {
	at, err := s.stamp(ctx, s.treeAt.Timestamp)
	if err != nil {
		return nil, err
	}
	tree, renamed, err := s.tree.Rename(q.Name, q.To, drawn(q.Request), at)
	if err != nil {
		return nil, err
	}
	a, err := s.made(ctx, tree, renamed.Folder)
	if err != nil || !renamed.Empty {
		return a, err
	}
	from, err := s.shown(ctx, mail.Inbox)
	if err != nil {
		return nil, err
	}
	to := s.folder(renamed.Folder.ID)
	for batch := range slices.Chunk(s.idsOf(from), talk.PageMax) {
		if err := s.move(ctx, batch, from, to); err != nil {
			return nil, err
		}
	}
	s.b.notify(from.id, to.id)
	return a, nil
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
	if f.ID == mail.Inbox {
		return &talk.Answer{}, nil
	}
	return &talk.Answer{Folder: f.ID}, nil
}

// repeatsMax is how many answers of changes an index remembers, for questions that are carried again.
const repeatsMax = 32

// repeat is the answer to a question that changed something.
type repeat struct {
	request [16]byte
	answer  []byte
}

func (s *state) remembered(request [16]byte) ([]byte, bool) {
	for i := range s.recent {
		if s.recent[i].request == request && request != ([16]byte{}) {
			return s.recent[i].answer, true
		}
	}
	return nil, false
}

func (s *state) remember(request [16]byte, answer []byte) {
	if request == ([16]byte{}) {
		return
	}
	if len(s.recent) == repeatsMax {
		s.recent = slices.Delete(s.recent, 0, 1)
	}
	s.recent = append(s.recent, repeat{request, answer})
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
