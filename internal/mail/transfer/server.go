package transfer

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
)

// Sizes of what is asked of another server at once.
const (
	pageUIDs    = 200     // messages whose flags and sizes are asked for
	pieceOctets = 1 << 20 // of one message's contents
	foundMax    = 1 << 20 // messages of one folder
)

// Server is a source: a mailbox at another IMAP server. Its folders are only read (EXAMINE).
type Server struct {
	User     mail.User
	Folder   string // only this one; empty: all but those that show other folders' messages
	Address  string // host:port
	StartTLS bool   // STARTTLS instead of TLS from the beginning
	TLS      *tls.Config
	Remote   string // the user's name there
	Password string
	Max      int64 // octets of a message
}

// Known is a Sink that knows before the contents come whether it takes a message.
type Known interface {
	// Has reports whether it has that message.
	Has(id mail.MessageID) bool
	// Passes reports whether it takes no messages of a folder, of which there are so many.
	Passes(folder string, messages int) bool
}

var _ Known = (*Importer)(nil)

// Has implements Known. It counts the message.
func (i *Importer) Has(id mail.MessageID) bool {
	_, there := i.known[id]
	if there {
		i.tally.There++
		i.Progress(i.tally)
	}
	return there
}

// Passes implements Known. It counts the messages.
func (i *Importer) Passes(folder string, messages int) bool {
	if i.names[folder] != "" {
		return false
	}
	i.tally.Skipped += messages
	return true
}

// remoteFolder is a folder as the other server names it.
type remoteFolder struct {
	Folder
	theirs string // its name there, as it goes over the wire
}

// remote is one message of a page.
type remote struct {
	uid      mail.UID
	flags    []mail.Flag
	received time.Time
	size     int64
}

// Run copies the folders.
func (s *Server) Run(ctx context.Context, to Sink) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", s.Address, err)
		}
	}()
	c, err := dial(ctx, s.Address, s.StartTLS, s.TLS)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) }) // a connection that is closed has none
	defer stop()
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.login(s.Remote, s.Password); err != nil {
		return err
	}
	folders, err := s.folders(c)
	if err != nil {
		return err
	}
	found := false
	for _, f := range folders {
		if s.Folder != "" && f.Name != s.Folder {
			continue
		}
		found = true
		if s.Folder == "" && (f.Use == imap.UseAll || f.Use == imap.UseFlagged || f.Use == imap.UseImportant) {
			continue // it shows messages of other folders
		}
		if err := s.folder(ctx, c, f, to); err != nil {
			return fmt.Errorf("folder %s: %w", f.Name, err)
		}
	}
	if !found {
		return fmt.Errorf("there is no folder %q", s.Folder)
	}
	return c.command(logout, nil)
}

// folders lists the other server's folders that can be selected, by name.
func (s *Server) folders(c *client) (folders []remoteFolder, err error) {
	err = c.command(`LIST "" "*"`, func(r imap.Response) error {
		l, ok := r.(imap.ListData)
		if !ok || hasAttribute(l, imap.AttrNoSelect) || hasAttribute(l, imap.AttrNonExistent) {
			return nil
		}
		if len(folders) == remoteFolderMax {
			return fmt.Errorf("more than %d folders", remoteFolderMax)
		}
		f := remoteFolder{Folder: Folder{Name: localName(l)}, theirs: l.Folder}
		for _, use := range []string{imap.UseArchive, imap.UseDrafts, imap.UseJunk, imap.UseSent, imap.UseTrash, imap.UseAll, imap.UseFlagged, imap.UseImportant} {
			if f.Use == "" && hasAttribute(l, use) {
				f.Use = use
			}
		}
		folders = append(folders, f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	subscribed := map[string]bool{}
	err = c.command(`LSUB "" "*"`, func(r imap.Response) error {
		if l, ok := r.(imap.ListData); ok && len(subscribed) < remoteFolderMax {
			subscribed[localName(l)] = true
		}
		return nil
	})
	var refused *refusedError
	if errors.As(err, &refused) { // not every server knows them
		err = nil
	}
	for i := range folders {
		folders[i].Subscribed = subscribed[folders[i].Name]
	}
	slices.SortFunc(folders, func(a, b remoteFolder) int { return cmp.Compare(a.Name, b.Name) })
	return folders, err
}

func hasAttribute(l imap.ListData, name string) bool {
	return slices.ContainsFunc(l.Attributes, func(a string) bool { return strings.EqualFold(a, name) })
}

// localName is a folder's name with '/' between the levels.
func localName(l imap.ListData) string {
	name := l.Folder
	switch {
	case l.NoLevels:
		name = strings.ReplaceAll(name, "/", "_")
	case l.Delimiter != 0:
		name = strings.ReplaceAll(name, "/", "_")
		name = strings.ReplaceAll(name, string(rune(l.Delimiter)), "/")
	}
	return imap.CanonicalName(name)
}

// quote writes a folder's name as a quoted string.
func quote(name string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(imap.EncodeUTF7(name)) + `"`
}

func (s *Server) folder(ctx context.Context, c *client, f remoteFolder, to Sink) error {
	validity := uint64(0)
	err := c.command("EXAMINE "+quote(f.theirs), func(r imap.Response) error {
		if reply, ok := r.(imap.Reply); ok && reply.Code.Name == imap.CodeUIDValidity {
			validity = reply.Code.Number
		}
		return nil
	})
	if err != nil {
		return err
	}
	if validity == 0 {
		return errors.New("the server does not tell its UIDVALIDITY: its messages cannot be known again")
	}
	if err := to.Folder(ctx, f.Folder); err != nil {
		return err
	}
	var uids []uint32
	err = c.command("UID SEARCH ALL", func(r imap.Response) error {
		if found, ok := r.(imap.SearchData); ok {
			uids = append(uids, found.Numbers...)
		}
		if len(uids) > foundMax {
			return fmt.Errorf("more than %d messages", foundMax)
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.Sort(uids)
	uids = slices.Compact(uids)
	if known, ok := to.(Known); ok && known.Passes(f.Name, len(uids)) {
		return nil
	}
	missing := uids[:0]
	for _, uid := range uids {
		if known, ok := to.(Known); !ok || !known.Has(s.email(f, validity, uid)) {
			missing = append(missing, uid)
		}
	}
	for page := range slices.Chunk(missing, pageUIDs) {
		if err := s.page(ctx, c, f, validity, page, to); err != nil {
			return err
		}
	}
	return nil
}

// email is by what a message is known again.
func (s *Server) email(f remoteFolder, validity uint64, uid uint32) mail.MessageID {
	return hashed("imap", string(s.User), s.Address, s.Remote, f.theirs, strconv.FormatUint(validity, 10), strconv.FormatUint(uint64(uid), 10))
}

// page copies some messages, ascending.
func (s *Server) page(ctx context.Context, c *client, f remoteFolder, validity uint64, uids []uint32, to Sink) error {
	page := make(map[mail.UID]remote, len(uids))
	set := imap.SetOfNumbers(uids...).String()
	err := c.command("UID FETCH "+set+" (UID FLAGS INTERNALDATE RFC822.SIZE)", func(r imap.Response) error {
		d, ok := r.(imap.FetchData)
		if !ok {
			return nil
		}
		var m remote
		for _, v := range d.Values {
			switch v.Item.Kind {
			case imap.FetchUID:
				m.uid = mail.UID(v.Number)
			case imap.FetchFlags:
				m.flags = slices.DeleteFunc(v.Flags, func(f mail.Flag) bool { _, err := imap.ParseFlag(string(f)); return err != nil })
			case imap.FetchInternalDate:
				m.received = v.Time
			case imap.FetchRFC822Size:
				m.size = int64(v.Number)
			}
		}
		if _, ok := slices.BinarySearch(uids, uint32(m.uid)); ok && m.size > 0 {
			page[m.uid] = m
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, uid := range uids {
		if err := ctx.Err(); err != nil {
			return err
		}
		place := fmt.Sprintf("%s, folder %s, UID %d", s.Address, f.theirs, uid)
		m, ok := page[mail.UID(uid)]
		if !ok {
			to.Skipped(place, errors.New("the server does not tell its size, date and flags: it was deleted meanwhile, or is empty"))
			continue
		}
		body, err := s.fetch(c, m)
		var large *TooLargeError
		var refused *refusedError
		switch {
		case errors.As(err, &large), errors.As(err, &refused), errors.Is(err, errGone):
			to.Skipped(place, err)
			err = body.close()
		case err == nil:
			err = to.Message(ctx, &Message{Place: place, Folder: f.Name, Email: s.email(f, validity, uid),
				Flags: m.flags, Received: m.received, Size: body.size, Body: body.body(), done: body.close})
		default:
			err = errors.Join(err, body.close())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var errGone = errors.New("the server does not give its contents")

// fetch reads a message piece by piece, so that no more than a piece is in memory; it ends at a piece that is short, whatever
// size was told.
func (s *Server) fetch(c *client, m remote) (*contents, error) {
	b := newContents(s.Max)
	if m.size > s.Max {
		return b, &TooLargeError{Max: s.Max}
	}
	for {
		var piece []byte
		command := fmt.Sprintf("UID FETCH %d (UID BODY.PEEK[]<%d.%d>)", m.uid, b.size, pieceOctets)
		err := c.command(command, func(r imap.Response) error {
			d, ok := r.(imap.FetchData)
			if !ok {
				return nil
			}
			var octets []byte
			ours := false
			for _, v := range d.Values {
				ours = ours || v.Item.Kind == imap.FetchUID && mail.UID(v.Number) == m.uid
				if v.Octets != nil {
					octets = v.Octets
				}
			}
			if ours && octets != nil {
				piece = octets
			}
			return nil
		})
		if err != nil {
			return b, err
		}
		if piece == nil && b.size == 0 {
			return b, errGone
		}
		if len(piece) > pieceOctets {
			return b, fmt.Errorf("the server sends %d octets where %d were asked for", len(piece), pieceOctets)
		}
		if _, err := b.Write(piece); err != nil {
			return b, err
		}
		if len(piece) < pieceOctets {
			if b.size != m.size && piece == nil {
				return b, errGone
			}
			return b, nil
		}
	}
}
