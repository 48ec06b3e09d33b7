package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"pgregory.net/rapid"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// fakeMailbox keeps messages in memory, and fails when it is told to.
type fakeMailbox struct {
	begun   map[string]int // the number of the import from each source that has not ended
	number  int            // of the last one
	current int
	ids     map[string]bool // of messages that are there or were deleted, with the import's number
	folders map[string]Folder
	stored  []stored
	fail    func(messages []*Message) (before bool, err error) // before: nothing was stored
}

type stored struct {
	folder, text, flags string
	email               mail.MessageID
}

func (m *fakeMailbox) Begin(_ context.Context, source string) error {
	if m.begun == nil {
		m.begun, m.ids = map[string]int{}, map[string]bool{}
	}
	if m.begun[source] == 0 {
		m.number++
		m.begun[source] = m.number
	}
	m.current = m.begun[source]
	return nil
}

func (m *fakeMailbox) End(_ context.Context, source string) error {
	delete(m.begun, source)
	return nil
}

// delete deletes what has that text.
func (m *fakeMailbox) delete(text string) {
	m.stored = slices.DeleteFunc(m.stored, func(s stored) bool { return s.text == text })
}

func (m *fakeMailbox) Emails(_ context.Context, yield func(mail.MessageID) error) error {
	for _, s := range m.stored {
		if err := yield(s.email); err != nil {
			return err
		}
	}
	return nil
}

func (m *fakeMailbox) MakeFolder(_ context.Context, f Folder) error {
	if m.folders == nil {
		m.folders = map[string]Folder{}
	}
	m.folders[f.Name] = f
	return nil
}

func (m *fakeMailbox) Append(_ context.Context, folder string, messages []*Message) error {
	var failed error
	if m.fail != nil {
		var before bool
		if before, failed = m.fail(messages); before && failed != nil {
			return failed
		}
	}
	if err := m.store(m.current, folder, messages); err != nil {
		return err
	}
	return failed
}

// store stores messages of one import, each once.
func (m *fakeMailbox) store(number int, folder string, messages []*Message) error {
	for _, x := range messages {
		text, err := io.ReadAll(io.NewSectionReader(x.Body, 0, x.Size))
		if err != nil {
			return err
		}
		if id := fmt.Sprint(number, x.Email); !m.ids[id] {
			m.ids[id] = true
			m.stored = append(m.stored, stored{folder, string(text), fmt.Sprint(x.Flags), x.Email})
		}
	}
	return nil
}

// run imports a file, and gives the places that were reported.
func run(t testing.TB, m *fakeMailbox, file string, limit int64) (Tally, []string, error) {
	t.Helper()
	var reported []string
	i := &Importer{Mailbox: m, Progress: func(Tally) {},
		Report: func(place string, err error) { reported = append(reported, place+": "+err.Error()) },
		wait:   func(context.Context, time.Duration) error { return nil }}
	source := &Mbox{User: "u@x.example", Folder: "INBOX", Name: "file", File: strings.NewReader(file), Max: limit}
	tally, err := i.Run(t.Context(), source.Run)
	return tally, reported, err
}

func entry(text string) string { return "From a Mon Nov  2 03:04:05 2026\n" + text + "\n" }

func TestTooLarge(t *testing.T) {
	var m fakeMailbox
	file := entry("A: 1\n\nx\n") + entry("A: 2\n\n"+strings.Repeat("large\n", 100)) + entry("A: 3\n\nx\n")
	tally, reported, err := run(t, &m, file, 100)
	want := fmt.Sprintf("file at octet %d: it has more than 100 octets", strings.Index(file, "From a Mon Nov  2 03:04:05 2026\nA: 2"))
	if err != nil || tally.Stored != 2 || tally.Skipped != 1 || len(reported) != 1 || !strings.HasPrefix(reported[0], want) {
		t.Errorf("%+v, %q, %v; want two stored, and %q", tally, reported, err, want)
	}
}

// One message that the cluster refuses for what it is does not keep out those beside it.
func TestRefused(t *testing.T) {
	m := fakeMailbox{fail: func(messages []*Message) (bool, error) {
		for _, x := range messages {
			if x.Size == 13 {
				return true, cluster.Errorf(cluster.KindInvalid, "append", "no")
			}
		}
		return true, nil
	}}
	tally, reported, err := run(t, &m, entry("A: 1\n\nx\n")+entry("A: 2\n\nbad\n")+entry("A: 3\n\nx\n"), 1000)
	if err != nil || tally.Stored != 2 || tally.Skipped != 1 || len(reported) != 1 {
		t.Errorf("%+v, %q, %v", tally, reported, err)
	}
}

func TestFull(t *testing.T) {
	calls := 0
	m := fakeMailbox{fail: func([]*Message) (bool, error) {
		calls++
		return true, cluster.Errorf(cluster.KindFull, "append", "%w", mail.ErrOverQuota)
	}}
	_, _, err := run(t, &m, entry("A: 1\n\nx\n"), 1000)
	if !errors.Is(err, mail.ErrOverQuota) || calls != 1 {
		t.Errorf("%v after %d calls, want over quota after one", err, calls)
	}
}

// Whatever fails at whatever moment, runs until one succeeds store each message once, also those with the same contents.
func TestModelResume(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		texts := rapid.SliceOfN(rapid.SampledFrom([]string{"A: 1\n\nx\n", "A: 2\n\ny\n", "A: 3\n\nz\n", "\n"}), 0, 100).Draw(rt, "texts")
		var file strings.Builder
		for _, text := range texts {
			file.WriteString(entry(text))
		}
		var m fakeMailbox
		var late []func() error // parts under way when an import was killed
		m.fail = func(messages []*Message) (bool, error) {
			switch rapid.IntRange(0, 7).Draw(rt, "failure") {
			case 0:
				return true, cluster.Errorf(cluster.KindUnavailable, "append", "away")
			case 1:
				return false, cluster.Errorf(cluster.KindUnavailable, "append", "the answer is lost")
			case 2:
				return rapid.Bool().Draw(rt, "before"), errors.New("killed")
			case 3:
				var part []*Message // its own: the importer gives back the contents
				for _, x := range messages {
					text, err := io.ReadAll(io.NewSectionReader(x.Body, 0, x.Size))
					if err != nil {
						return true, err
					}
					part = append(part, &Message{Email: x.Email, Flags: x.Flags, Size: x.Size, Body: bytes.NewReader(text)})
				}
				number, folder := m.current, messages[0].Folder
				late = append(late, func() error { return m.store(number, folder, part) })
				return true, errors.New("killed")
			case 4:
				for ; len(late) > 0; late = late[1:] {
					if err := late[0](); err != nil {
						return true, err
					}
				}
			}
			return true, nil
		}
		for {
			if _, _, err := run(t, &m, file.String(), 1000); err == nil {
				break
			}
		}
		for _, part := range late {
			if err := part(); err != nil {
				rt.Fatal(err)
			}
		}
		count := map[string]int{}
		for _, s := range m.stored {
			count[s.text]++
		}
		for _, text := range texts {
			count[strings.ReplaceAll(text, "\n", "\r\n")]--
		}
		for text, n := range count {
			if n != 0 {
				rt.Errorf("%q is there %d times too often", text, n)
			}
		}
	})
}

// What is deleted while an import is under way, or was broken off, does not come back with it; a new import brings it again.
func TestDeletedMeanwhile(t *testing.T) {
	var m fakeMailbox
	file := entry("A: 1\n\nx\n") + entry("A: 2\n\ny\n")
	m.fail = func([]*Message) (bool, error) { return false, errors.New("killed") }
	if _, _, err := run(t, &m, file, 1000); err == nil || len(m.stored) != 2 {
		t.Fatalf("%d stored, %v", len(m.stored), err)
	}
	m.fail = nil
	m.delete("A: 1\r\n\r\nx\r\n")
	for _, want := range []int{1, 2} {
		if _, _, err := run(t, &m, file, 1000); err != nil || len(m.stored) != want {
			t.Errorf("%d stored, want %d, %v", len(m.stored), want, err)
		}
	}
}

func TestMaildirSource(t *testing.T) {
	fsys := fstest.MapFS{
		"cur/1:2,S":     {Data: []byte("A: 1\n\nx\r\ny\n"), ModTime: time.Unix(1, 0)},
		"new/2":         {Data: bytes.Repeat([]byte("large\n"), 200), ModTime: time.Unix(2, 0)},
		".Work/cur/3":   {Data: []byte("A: 1\n\nx\ny\n"), ModTime: time.Unix(3, 0)},
		".Work/cur/4":   {Data: []byte("A: 1\n\nx\ny\n"), ModTime: time.Unix(4, 0)},
		"subscriptions": {Data: []byte("V\t2\n\nWork\n")},
	}
	var m fakeMailbox
	var reported []string
	i := &Importer{Mailbox: &m, Progress: func(Tally) {}, Report: func(place string, _ error) { reported = append(reported, place) }}
	d := &Maildir{User: "u@x.example", Name: "tree", FS: fsys, Max: 1000}
	tally, err := i.Run(t.Context(), d.Run)
	if err != nil || tally.Stored != 3 || tally.Folders != 2 || fmt.Sprint(reported) != "[tree/new/2]" || !m.folders["Work"].Subscribed {
		t.Fatalf("%+v, %v, %v, %v", tally, reported, m.folders, err)
	}
	ids := map[mail.MessageID]bool{}
	for _, s := range m.stored {
		ids[s.email] = true
		if s.text != "A: 1\r\n\r\nx\r\ny\r\n" {
			t.Errorf("stored %q", s.text)
		}
	}
	if len(ids) != 3 || m.stored[0].flags != `[\Seen]` {
		t.Errorf("%d different ids of 3, flags %v", len(ids), m.stored[0].flags)
	}
	d.Folder = "None"
	if _, err := i.Run(t.Context(), d.Run); err == nil {
		t.Error("a folder that is not there was imported")
	}
}

// What an earlier version has imported is known by these ids: they never change.
func TestIDsNeverChange(t *testing.T) {
	o := newOccurrences("u@x.example")
	first, second := o.next("INBOX", digest{1}), o.next("INBOX", digest{1})
	const want = "f1fddd993a1869bc439a1f9099f15a55 072b8d7c26daecda00fd5b93f4170ac6"
	if got := first.String() + " " + second.String(); got != want {
		t.Errorf("ids = %s, want %s", got, want)
	}
}
