// Package maildir knows how mail lies in a Maildir: a file for each message, with its flags in the file's name, and a
// directory for each folder in the way called Maildir++, which Dovecot and Courier use.
//
//	cur, new, tmp              INBOX
//	.Sent/cur, ...             the folder Sent
//	.Lists.Go/cur, ...         the folder Lists/Go; names are in modified UTF-7 (RFC 3501 §5.1.3)
//	dovecot-keywords           in each folder: which keyword each letter a to z stands for
//	subscriptions              folders subscribed to, a name a line; Dovecot's first line says which version
//
// It reads through a file system that its caller opens, and writes nothing: it says under which name a message is to
// be written.
package maildir

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
)

// keywordsMax is how many keywords a folder can have: one for each small letter.
const keywordsMax = 26

// smallFileMax bounds the files of keywords and subscriptions, in octets.
const smallFileMax = 1 << 20

// forwarded is the keyword that the flag letter P, passed, stands for.
const forwarded mail.Flag = "$forwarded"

// letters are the flags in a file's name, in the order in which they must stand there.
var letters = []struct {
	letter byte
	flag   mail.Flag
}{
	{'D', mail.FlagDraft}, {'F', mail.FlagFlagged}, {'P', forwarded}, {'R', mail.FlagAnswered}, {'S', mail.FlagSeen}, {'T', mail.FlagDeleted},
}

// Folder is one folder in a Maildir.
type Folder struct {
	Name       string // as UTF-8, with '/' between the levels; INBOX in capitals
	Dir        string // where it lies, "." for INBOX
	Subscribed bool
}

// File is one message.
type File struct {
	Path  string
	Flags []mail.Flag // ascending, none twice
	// Received is when the file was written: what servers give as INTERNALDATE.
	Received time.Time
	Size     int64 // of the file, whose lines may end with LF
}

// Folders lists the folders of a Maildir, INBOX first. An error says that it is none.
func Folders(fsys fs.FS) ([]Folder, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, err
	}
	if !isFolder(fsys, ".") {
		return nil, errors.New("there is no directory cur: this is not a Maildir")
	}
	subscribed, err := subscriptions(fsys)
	if err != nil {
		return nil, err
	}
	folders := []Folder{{Name: "INBOX", Dir: "."}}
	for _, e := range entries {
		if name, ok := strings.CutPrefix(e.Name(), "."); ok && name != "" && name != "." && isFolder(fsys, e.Name()) {
			folders = append(folders, Folder{Name: folderName(name), Dir: e.Name()})
		}
	}
	slices.SortFunc(folders[1:], func(a, b Folder) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Dir, b.Dir)) })
	for i := range folders {
		folders[i].Subscribed = slices.Contains(subscribed, folders[i].Name)
	}
	return folders, nil
}

func isFolder(fsys fs.FS, dir string) bool {
	info, err := fs.Stat(fsys, path.Join(dir, "cur"))
	return err == nil && info.IsDir()
}

// folderName makes the name of a folder out of that of its directory, without its first dot. What is not modified UTF-7 is
// taken as it is.
func folderName(dir string) string {
	levels := strings.Split(dir, ".")
	for i, level := range levels {
		if name, err := imap.DecodeUTF7(level); err == nil && !strings.Contains(name, "/") {
			level = name
		}
		levels[i] = strings.ToValidUTF8(level, "\uFFFD")
	}
	levels = slices.DeleteFunc(levels, func(level string) bool { return level == "" })
	if len(levels) > 1 && strings.EqualFold(levels[0], "INBOX") {
		levels[0] = "INBOX"
	}
	return strings.Join(levels, "/")
}

// DirName gives the directory of a folder, "." for INBOX; an error if its name has a dot, which stands between levels here.
func DirName(folder string) (string, error) {
	if folder == "INBOX" {
		return ".", nil
	}
	if strings.Contains(folder, ".") {
		return "", fmt.Errorf("folder %q: a name with a dot cannot be written to a Maildir; rename the folder", folder)
	}
	return "." + strings.ReplaceAll(imap.EncodeUTF7(folder), "/", "."), nil
}

// Files lists the messages of a folder, oldest first.
func Files(fsys fs.FS, f Folder) ([]File, error) {
	keywords, err := ReadKeywords(fsys, f.Dir)
	if err != nil {
		return nil, err
	}
	var files []File
	for _, dir := range []string{"cur", "new"} {
		at := path.Join(f.Dir, dir)
		entries, err := fs.ReadDir(fsys, at)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list folder %s: %w", f.Name, err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") || e.IsDir() {
				continue
			}
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // moved meanwhile: somebody uses the Maildir
			}
			if err != nil {
				return nil, fmt.Errorf("list folder %s: %w", f.Name, err)
			}
			files = append(files, File{Path: path.Join(at, e.Name()), Flags: ParseFlags(e.Name(), keywords), Received: info.ModTime().UTC(), Size: info.Size()})
		}
	}
	slices.SortFunc(files, func(a, b File) int { return cmp.Or(a.Received.Compare(b.Received), cmp.Compare(a.Path, b.Path)) })
	return files, nil
}

// ParseFlags gives the flags in a file's name. keywords are those of the folder, by their letter's place.
func ParseFlags(name string, keywords []mail.Flag) []mail.Flag {
	_, info, ok := strings.Cut(name, ":2,")
	if !ok {
		return nil
	}
	var flags []mail.Flag
	for i := range len(info) {
		c := info[i]
		if c >= 'a' && c <= 'z' && int(c-'a') < len(keywords) && keywords[c-'a'] != "" {
			flags = append(flags, keywords[c-'a'])
			continue
		}
		for _, l := range letters {
			if l.letter == c {
				flags = append(flags, l.flag)
			}
		}
	}
	slices.Sort(flags)
	return slices.Compact(flags)
}

// FileName gives the name of a message's file in cur. unique is a name that no other message has, without ':' and '/'. A
// keyword that is not among keywords is left out.
func FileName(unique string, flags []mail.Flag, keywords []mail.Flag) string {
	info := []byte(unique + ":2,")
	for _, l := range letters {
		if slices.Contains(flags, l.flag) {
			info = append(info, l.letter)
		}
	}
	for i, k := range keywords[:min(len(keywords), keywordsMax)] {
		if k != "" && slices.Contains(flags, k) {
			info = append(info, byte('a'+i))
		}
	}
	return string(info)
}

// HasLetter reports whether a flag has a letter in all Maildirs.
func HasLetter(f mail.Flag) bool {
	for _, l := range letters {
		if l.flag == f {
			return true
		}
	}
	return false
}

// Keywords is the file dovecot-keywords of a folder with these keywords, by their letter's place; "" is a free one.
// Those beyond 26 have no letter.
func Keywords(keywords []mail.Flag) []byte {
	var b bytes.Buffer
	for i, k := range keywords[:min(len(keywords), keywordsMax)] {
		if k != "" {
			fmt.Fprintf(&b, "%d %s\n", i, k)
		}
	}
	return b.Bytes()
}

// ReadKeywords reads dovecot-keywords of the folder that lies in dir: 26 keywords by their letter's place, "" where there is none.
func ReadKeywords(fsys fs.FS, dir string) ([]mail.Flag, error) {
	data, err := small(fsys, path.Join(dir, "dovecot-keywords"))
	if err != nil {
		return nil, err
	}
	found := make([]mail.Flag, keywordsMax)
	for line := range strings.Lines(string(data)) {
		number, name, ok := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.Atoi(number); ok && err == nil && n >= 0 && n < keywordsMax && utf8.ValidString(name) {
			found[n] = mail.Flag(strings.ToLower(name))
		}
	}
	return found, nil
}

// subscriptions reads the names of the folders subscribed to.
func subscriptions(fsys fs.FS) (names []string, err error) {
	data, err := small(fsys, "subscriptions")
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, smallFileMax)
	separator := "."
	for first := true; lines.Scan(); first = false {
		line := lines.Text()
		switch {
		case first && strings.HasPrefix(line, "V\t"):
			separator = "\t" // the later form: levels apart by tabs, names in UTF-8
		case line == "":
		case separator == "\t":
			names = append(names, strings.ReplaceAll(line, "\t", "/"))
		default:
			names = append(names, folderName(line))
		}
	}
	return names, lines.Err()
}

// small reads a small file, nil if there is none.
func small(fsys fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // whoever opens a pipe may wait for ever
		return nil, fmt.Errorf("%s: it is no file but %v: remove it", name, info.Mode().Type())
	}
	if info.Size() > smallFileMax {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", name, info.Size(), smallFileMax)
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, smallFileMax)) // it may have grown meanwhile
	return data, errors.Join(err, f.Close())
}
