package daemon

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/imapserver/backend"
)

// importsEntry begins the names of the annotations of a mailbox (RFC 5464) that say which imports were begun and not ended: one for each,
// so that two that begin at the same time do not write over each other's. What follows is the source's name, and the value
// the import's number and when it began, in seconds since 1970. So an import that was broken off is known at every node.
const importsEntry = "/private/vendor/porcupine/imports/"

// importsMax is how many are kept: the oldest is forgotten for one more. Done again it is a new one.
const importsMax = 8

// importEntry is the annotation of a source's import: what an administrator has written may be long, or have lines.
func importEntry(source string) string {
	sum := sha256.Sum256([]byte(source))
	return importsEntry + hex.EncodeToString(sum[:8])
}

// openImport is an import that was begun and not ended.
type openImport struct {
	entry, number string
	began         int64
}

// openImports reads the annotations of a mailbox, the oldest import first. What a client has written there counts for none.
func openImports(annotations map[string]string) (list []openImport) {
	for entry, value := range annotations {
		number, began, _ := strings.Cut(value, " ")
		at, err := strconv.ParseInt(began, 10, 64)
		if _, bad := mail.ParseMessageID(number); strings.HasPrefix(entry, importsEntry) && err == nil && bad == nil {
			list = append(list, openImport{entry, number, at})
		}
	}
	slices.SortFunc(list, func(a, b openImport) int {
		return cmp.Or(cmp.Compare(a.began, b.began), strings.Compare(a.entry, b.entry))
	})
	return list
}

// begin gives the annotations to set for one more import.
func begin(list []openImport, entry, number string, now time.Time) map[string]*string {
	value := number + " " + strconv.FormatInt(now.Unix(), 10)
	set := map[string]*string{entry: &value}
	for _, i := range list[:max(0, len(list)-(importsMax-1))] {
		set[i.entry] = nil
	}
	return set
}

// BeginImport reads the number of an import that was broken off, or writes that of a new one down BEFORE it is given.
func (t transfer) BeginImport(ctx context.Context, address, source string) (number string, err error) {
	err = t.with(ctx, address, func(m backend.Mailbox) error {
		values, err := m.Metadata(ctx, "")
		if err != nil {
			return err
		}
		list, entry := openImports(values), importEntry(source)
		for _, i := range list {
			if i.entry == entry {
				number = i.number
				return nil
			}
		}
		var fresh mail.MessageID
		rand.Read(fresh[:]) // never fails (crypto/rand)
		number = fresh.String()
		return m.SetMetadata(ctx, "", begin(list, entry, number, time.Now()))
	})
	return number, err
}

// EndImport takes an import's number away.
func (t transfer) EndImport(ctx context.Context, address, source string) error {
	return t.with(ctx, address, func(m backend.Mailbox) error {
		return m.SetMetadata(ctx, "", map[string]*string{importEntry(source): nil})
	})
}

// importedID is the id of a message's object: the same each time the same import stores it, and another one in the next
// import, which may bring back what was deleted. It never changes: what was stored before is known by it.
func importedID(number, email mail.MessageID) (id mail.MessageID) {
	h := sha256.New()
	for _, part := range []string{"porcupine imported object 1", string(number[:]), string(email[:])} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part)))) // a hash takes all
		h.Write([]byte(part))
	}
	copy(id[:], h.Sum(nil))
	return id
}

// parseNumber reads the number of an import.
func parseNumber(number string) (mail.MessageID, error) {
	id, err := mail.ParseMessageID(number)
	if err != nil {
		return id, cluster.Errorf(cluster.KindInternal, "append messages", "the number of the import: %w", err)
	}
	return id, nil
}
