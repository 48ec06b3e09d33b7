package maildir_test

import (
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"pgregory.net/rapid"

	"porcupine/internal/mail"
	"porcupine/internal/mail/maildir"
)

func at(second int) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte("A: b\n\n"), ModTime: time.Unix(int64(second), 0)}
}

// tree is a Maildir as Dovecot leaves it.
func tree() fstest.MapFS {
	dir := &fstest.MapFile{Mode: 0o755 | 1<<31}
	return fstest.MapFS{
		"cur": dir, "new": dir, "tmp": dir,
		"cur/2.x:2,S": at(2), "cur/1.x:2,FRab": at(1), "new/3.x": at(3), "tmp/4.x": at(4), "cur/.hidden": at(5),
		"dovecot-keywords": {Data: []byte("0 $Forwarded\n1 Work\nnonsense\n99 x\n")}, "dovecot.index": {Data: []byte{0}},
		".Sent/cur": dir, ".Sent/cur/7.x:2,PSDTz": at(7),
		".Entw&APw-rfe.2026/cur": dir, ".Entw&APw-rfe.2026/new/8.x": at(8),
		".&broken/cur": dir, ".nothing/tmp": dir,
		"subscriptions": {Data: []byte("V\t2\n\nINBOX\nEntwürfe\t2026\nGone\n")},
	}
}

func TestFolders(t *testing.T) {
	got, err := maildir.Folders(tree())
	want := []maildir.Folder{
		{Name: "INBOX", Dir: ".", Subscribed: true}, {Name: "&broken", Dir: ".&broken"},
		{Name: "Entwürfe/2026", Dir: ".Entw&APw-rfe.2026", Subscribed: true}, {Name: "Sent", Dir: ".Sent"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Folders = %+v, %v\nwant %+v", got, err, want)
	}
	for _, f := range want {
		if f.Name == "&broken" {
			continue
		}
		if dir, err := maildir.DirName(f.Name); err != nil || dir != f.Dir {
			t.Errorf("DirName(%q) = %q, %v; want %q", f.Name, dir, err, f.Dir)
		}
	}
	if _, err := maildir.DirName("a.b"); err == nil {
		t.Error("a name with a dot was taken")
	}
	if _, err := maildir.Folders(fstest.MapFS{"x": at(1)}); err == nil {
		t.Error("what is no Maildir was taken for one")
	}
	old := tree()
	old["subscriptions"] = &fstest.MapFile{Data: []byte("INBOX\nEntw&APw-rfe.2026\n")}
	if got, err := maildir.Folders(old); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("with subscriptions of the older form: %+v, %v", got, err)
	}
}

func TestFiles(t *testing.T) {
	fsys := tree()
	file := func(path string, second int, flags ...mail.Flag) maildir.File {
		return maildir.File{Path: path, Flags: flags, Received: time.Unix(int64(second), 0).UTC(), Size: 6}
	}
	for _, tt := range []struct {
		folder maildir.Folder
		want   []maildir.File
	}{
		{maildir.Folder{Name: "INBOX", Dir: "."}, []maildir.File{
			file("cur/1.x:2,FRab", 1, "$forwarded", mail.FlagAnswered, mail.FlagFlagged, "work"), file("cur/2.x:2,S", 2, mail.FlagSeen), file("new/3.x", 3)}},
		{maildir.Folder{Name: "Sent", Dir: ".Sent"}, []maildir.File{
			file(".Sent/cur/7.x:2,PSDTz", 7, "$forwarded", mail.FlagDeleted, mail.FlagDraft, mail.FlagSeen)}},
		{maildir.Folder{Name: "Entwürfe/2026", Dir: ".Entw&APw-rfe.2026"}, []maildir.File{file(".Entw&APw-rfe.2026/new/8.x", 8)}},
	} {
		if got, err := maildir.Files(fsys, tt.folder); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, %v\nwant %+v", tt.folder.Name, got, err, tt.want)
		}
	}
}

// TestNamesRoundTrip: a file's name says the flags that it was made of.
func TestNamesRoundTrip(t *testing.T) {
	keywords := []mail.Flag{"later", "work"}
	all := append([]mail.Flag{"$forwarded", mail.FlagAnswered, mail.FlagDeleted, mail.FlagDraft, mail.FlagFlagged, mail.FlagSeen}, keywords...)
	rapid.Check(t, func(t *rapid.T) {
		var flags []mail.Flag
		for _, f := range all {
			if rapid.Bool().Draw(t, string(f)) {
				flags = append(flags, f)
			}
		}
		if got := maildir.ParseFlags(maildir.FileName("1.x", flags, keywords), keywords); !slices.Equal(got, flags) {
			t.Errorf("%v, want %v", got, flags)
		}
	})
	fsys := fstest.MapFS{"cur/1.x:2,ab": at(1), "dovecot-keywords": {Data: maildir.Keywords(keywords)}}
	files, err := maildir.Files(fsys, maildir.Folder{Name: "INBOX", Dir: "."})
	if err != nil || len(files) != 1 || !slices.Equal(files[0].Flags, keywords) {
		t.Errorf("keywords written and read: %+v, %v", files, err)
	}
}

// A pipe in the place of a small file is not read: nobody may ever write to it.
func TestSmallFilesAreFiles(t *testing.T) {
	for _, name := range []string{"subscriptions", "dovecot-keywords"} {
		fsys := fstest.MapFS{"cur/1.x": at(1), name: {Mode: fs.ModeNamedPipe}}
		_, err := maildir.Folders(fsys)
		if name == "dovecot-keywords" {
			_, err = maildir.Files(fsys, maildir.Folder{Name: "INBOX", Dir: "."})
		}
		if err == nil || !strings.Contains(err.Error(), name+": it is no file") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseFlags(f *testing.F) {
	f.Add("1.x:2,FRab")
	f.Add(":2,:2,ZZ")
	f.Fuzz(func(t *testing.T, name string) {
		flags := maildir.ParseFlags(name, []mail.Flag{"", "work"})
		if !slices.IsSorted(flags) || slices.Contains(flags, "") {
			t.Errorf("%q: %v", name, flags)
		}
	})
}
