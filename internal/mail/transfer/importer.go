package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// Limits of an import.
const (
	batchMessages = 32      // stored in one step
	batchOctets   = 1 << 20 // after so many a step is begun early
	triesMax      = 6       // of one batch while the cluster cannot take it
	retryWait     = time.Second
	// MessagesMax is the most messages of one mailbox that are known again.
	MessagesMax = 20_000_000
)

// Mailbox is where messages go.
type Mailbox interface {
	// Begin begins an import from a source, or goes on with the one from there that has not ended. It is durable which, BEFORE
	// it returns.
	Begin(ctx context.Context, source string) error
	// End says that all of a source is there: the next Begin is of a new import.
	End(ctx context.Context, source string) error
	// Emails yields the Email ids of all messages that are there.
	Emails(ctx context.Context, yield func(mail.MessageID) error) error
	// MakeFolder makes a folder unless it is there.
	MakeFolder(ctx context.Context, f Folder) error
	// Append stores messages. If it fails some of them may be there. However often messages of one Email id are stored by one
	// import, also by two calls at the same time, each is there once, and not at all if the user has deleted it meanwhile.
	Append(ctx context.Context, folder string, messages []*Message) error
}

// Tally counts what became of messages.
type Tally struct {
	Folders int
	Stored  int   // messages
	Octets  int64 // of those
	There   int   // passed over: stored before
	Skipped int   // too large or not readable
}

// Importer gives a mailbox what a source shows.
type Importer struct {
	Mailbox Mailbox
	// Source is by what an import that was broken off is known again.
	Source string
	// Report tells of each message that is skipped, or loses keywords.
	Report func(place string, err error)
	// Progress is told the counts after each step.
	Progress func(Tally)

	tally  Tally
	known  map[mail.MessageID]struct{}
	names  map[string]string // of the source's folders here; empty: it cannot be made
	words  keywords
	batch  []*Message
	octets int64
	wait   func(ctx context.Context, d time.Duration) error
}

var _ Sink = (*Importer)(nil)

// Run imports all that a source has. The tally is right also if it fails; run again, it goes on.
func (i *Importer) Run(ctx context.Context, source func(context.Context, Sink) error) (Tally, error) {
	i.known, i.names, i.words = map[mail.MessageID]struct{}{}, map[string]string{}, keywords{}
	if i.wait == nil {
		i.wait = pause
	}
	if err := i.try(ctx, func() error { return i.Mailbox.Begin(ctx, i.Source) }); err != nil { // BEFORE the first message
		return i.tally, fmt.Errorf("begin the import: %w", err)
	}
	if err := i.try(ctx, func() error { return i.learn(ctx) }); err != nil {
		return i.tally, fmt.Errorf("list what the mailbox has: %w", err)
	}
	err := source(ctx, i)
	if err == nil {
		err = i.flush(ctx)
	}
	if err == nil { // AFTER the last message
		err = i.try(ctx, func() error { return i.Mailbox.End(ctx, i.Source) })
	}
	return i.tally, errors.Join(err, i.drop())
}

// learn lists what is there, so that it need not be sent. What it misses is sent, and is the same message.
func (i *Importer) learn(ctx context.Context) error {
	clear(i.known)
	return i.Mailbox.Emails(ctx, func(id mail.MessageID) error {
		if len(i.known) >= MessagesMax {
			return cluster.Errorf(cluster.KindLimit, "import", "the mailbox has more than %d messages", MessagesMax)
		}
		i.known[id] = struct{}{}
		return nil
	})
}

// Folder implements Sink. A folder whose name none can have here gets one that is like it; one that cannot be made at all is
// reported, and its messages are counted as skipped. The others come in.
func (i *Importer) Folder(ctx context.Context, f Folder) error {
	if _, there := i.names[f.Name]; there {
		return nil
	}
	theirs := f.Name
	err := i.try(ctx, func() error { return i.Mailbox.MakeFolder(ctx, f) })
	if like := nameLike(theirs); like != theirs && (cluster.IsKind(err, cluster.KindInvalid) || cluster.IsKind(err, cluster.KindLimit)) {
		i.Report("folder "+theirs, fmt.Errorf("its messages go into the folder %s: %w", like, err))
		f.Name = like
		err = i.try(ctx, func() error { return i.Mailbox.MakeFolder(ctx, f) })
	}
	if cluster.IsKind(err, cluster.KindInvalid) { // not KindLimit: a user's folders are too many, or a node has too much to do
		i.names[theirs] = ""
		i.Report("folder "+theirs, fmt.Errorf("it cannot be made, and its messages are skipped: %w", err))
		return nil
	}
	if err != nil {
		return fmt.Errorf("folder %s: %w", theirs, err)
	}
	i.names[theirs] = f.Name
	i.tally.Folders++
	return nil
}

// Skipped implements Sink.
func (i *Importer) Skipped(place string, err error) {
	i.tally.Skipped++
	i.Report(place, err)
}

// Message implements Sink. A message may be stored only when a later one comes, or at the end.
func (i *Importer) Message(ctx context.Context, m *Message) error {
	if _, there := i.known[m.Email]; there {
		i.tally.There++
		i.Progress(i.tally)
		return m.close()
	}
	if i.Passes(m.Folder, 1) {
		i.Progress(i.tally)
		return m.close()
	}
	m.Folder = i.names[m.Folder]
	var err error
	if m.Flags, err = i.words.take(m.Folder, m.Flags); err != nil {
		i.Report(m.Place, err)
	}
	if len(i.batch) > 0 && (i.batch[0].Folder != m.Folder || len(i.batch) == batchMessages || i.octets+m.Size > batchOctets) {
		if err := i.flush(ctx); err != nil {
			return errors.Join(err, m.close())
		}
	}
	i.batch, i.octets = append(i.batch, m), i.octets+m.Size
	return nil
}

func (m *Message) close() error {
	if m.done == nil {
		return nil
	}
	return m.done()
}

// drop forgets the batch.
func (i *Importer) drop() (err error) {
	for _, m := range i.batch {
		err = errors.Join(err, m.close())
	}
	i.batch, i.octets = i.batch[:0], 0
	return err
}

// flush stores the batch.
func (i *Importer) flush(ctx context.Context) error {
	if len(i.batch) == 0 {
		return nil
	}
	err := i.store(ctx, i.batch)
	if tooMuch(err) && len(i.batch) > 1 { // one of them: which?
		err = nil
		for _, m := range i.batch {
			if err = i.store(ctx, []*Message{m}); tooMuch(err) {
				i.Skipped(m.Place, err)
				err = nil
			}
			if err != nil {
				break
			}
		}
	} else if tooMuch(err) {
		i.Skipped(i.batch[0].Place, err)
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("store messages from %s on: %w", i.batch[0].Place, err)
	}
	i.Progress(i.tally)
	return errors.Join(err, i.drop())
}

// tooMuch reports whether a message was refused for what it is.
func tooMuch(err error) bool { return cluster.IsKind(err, cluster.KindInvalid) }

// store stores messages of one folder, as often as it takes: stored twice they are there once.
func (i *Importer) store(ctx context.Context, messages []*Message) error {
	if err := i.try(ctx, func() error { return i.Mailbox.Append(ctx, messages[0].Folder, messages) }); err != nil {
		return err
	}
	for _, m := range messages {
		i.known[m.Email] = struct{}{}
		i.tally.Stored++
		i.tally.Octets += m.Size
	}
	return nil
}

// try repeats what fails only for now. A full mailbox does not become empty by waiting.
func (i *Importer) try(ctx context.Context, do func() error) error {
	wait := retryWait
	for n := 1; ; n++ {
		err := do()
		if err == nil || n == triesMax || ctx.Err() != nil || !cluster.IsKind(err, cluster.KindUnavailable) {
			return err
		}
		if err := i.wait(ctx, wait); err != nil {
			return err
		}
		wait *= 2
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
