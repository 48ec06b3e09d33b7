package imap_test

import (
	"reflect"
	"testing"
	"time"

	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
)

func set(ranges ...imap.NumRange) imap.NumSet { return imap.NumSet{Ranges: ranges} }

func day(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

var (
	one   = set(imap.NumRange{First: 1, Last: 1})
	stars = set(imap.NumRange{First: imap.Star, Last: imap.Star})
	three = int64(3)
)

func literal(s string) imap.Literal {
	return imap.Literal{Size: int64(len(s)), Index: -1, Octets: []byte(s)}
}

// values are commands and what they mean.
var values = []struct {
	in   string
	want imap.Args
}{
	{"a NOOP", nil},
	{`a ID ("a" NIL "b" "")`, imap.ID{Fields: []imap.IDField{{Name: "a"}, {Name: "b", Value: []byte{}}}}},
	{"a AUTHENTICATE plain", imap.Authenticate{Mechanism: "PLAIN"}},
	{"a AUTHENTICATE PLAIN =", imap.Authenticate{Mechanism: "PLAIN", Initial: []byte{}}},
	{"a AUTHENTICATE PLAIN AGEAYg==", imap.Authenticate{Mechanism: "PLAIN", Initial: []byte("\x00a\x00b")}},
	{`a LOGIN "a\"b" {2}` + "\nx\\", imap.Login{User: `a"b`, Password: `x\`}},
	{"a COMPRESS deflate", imap.Compress{Mechanism: "DEFLATE"}},
	{"a ENABLE condstore", imap.Enable{Capabilities: []string{"CONDSTORE"}}},
	{"a SELECT inbox", imap.Select{Folder: "INBOX"}},
	{"a SELECT &AOk- (CONDSTORE)", imap.Select{Folder: "é", CondStore: true}},
	{"a EXAMINE x (QRESYNC (1 2 3:4,9 (1:2 7:8)))", imap.Select{Folder: "x", QResync: &imap.QResync{UIDValidity: 1, ModSeq: 2,
		Known:        set(imap.NumRange{First: 3, Last: 4}, imap.NumRange{First: 9, Last: 9}),
		MatchNumbers: set(imap.NumRange{First: 1, Last: 2}), MatchUIDs: set(imap.NumRange{First: 7, Last: 8})}}},
	{`a CREATE x/ (USE (\drafts))`, imap.Create{Folder: "x", Use: []string{`\Drafts`}}},
	{"a DELETE x", imap.Name{Folder: "x"}},
	{"a RENAME x y/", imap.Rename{From: "x", To: "y"}},
	{"a STATUS x (size)", imap.Status{Folder: "x", Items: []imap.StatusItem{imap.StatusSize}}},
	{`a LIST "" *`, imap.List{Patterns: []string{"*"}}},
	{`a LSUB "" &AOk-%`, imap.List{Patterns: []string{"é%"}}},
	{`a LIST (SUBSCRIBED RECURSIVEMATCH) "" (a b) RETURN (STATUS (UNSEEN) CHILDREN)`, imap.List{Several: true, SelectSubscribed: true,
		RecursiveMatch: true, Patterns: []string{"a", "b"}, ReturnChildren: true, ReturnStatus: []imap.StatusItem{imap.StatusUnseen}}},
	{"a APPEND x {3}\nabc", imap.Append{Folder: "x", Messages: []imap.AppendMessage{{Data: literal("abc")}}}},
	{`a APPEND x (b \SEEN) " 1-Jan-2020 00:00:00 +0000" UTF8 (~{0}` + "\n)", imap.Append{Folder: "x", Messages: []imap.AppendMessage{{
		Flags: []mail.Flag{`\Seen`, "b"}, Received: day(2020, 1, 1), UTF8: true, Data: imap.Literal{Binary: true, Index: -1, Octets: []byte{}}}}}},
	{"a APPEND x CATENATE (URL /u TEXT {1}\nt)", imap.Append{Folder: "x", Messages: []imap.AppendMessage{{
		Parts: []imap.CatPart{{URL: "/u"}, {Text: literal("t")}}}}}},
	{"a REPLACE * x {1}\nm", imap.Replace{Number: imap.Star, Folder: "x", Message: imap.AppendMessage{Data: literal("m")}}},
	{"a UID EXPUNGE *", imap.Expunge{Set: stars}},
	{"a MOVE 1 x", imap.Copy{Set: one, Folder: "x"}},
	{"a STORE $ -FLAGS.SILENT FOO", imap.Store{Set: imap.NumSet{Saved: true}, Op: imap.StoreRemove, Silent: true, Flags: []mail.Flag{"foo"}}},
	{"a STORE 1 (UNCHANGEDSINCE 0) FLAGS ()", imap.Store{Set: one, Conditional: true, Flags: []mail.Flag{}}},
	{"a GETQUOTA r", imap.GetQuota{Root: "r"}},
	{"a SETQUOTA r (storage 3)", imap.SetQuota{Root: "r", Limits: []imap.QuotaLimit{{Resource: "STORAGE", Limit: 3}}}},
	{"a GETMETADATA (MAXSIZE 3 DEPTH infinity) x /SHARED/a", imap.GetMetadata{Folder: "x", MaxSize: &three, Depth: imap.DepthInfinity,
		Entries: []string{"/shared/a"}}},
	{`a SETMETADATA "" (/shared/a NIL /shared/b "")`, imap.SetMetadata{Values: []imap.MetadataValue{{Entry: "/shared/a"},
		{Entry: "/shared/b", Value: []byte{}}}}},
	{"a NOTIFY NONE", imap.Notify{None: true}},
	{"a NOTIFY SET (inboxes (flagchange)) (mailboxes x NONE)", imap.Notify{Groups: []imap.EventGroup{
		{Filter: imap.FolderFilter{Kind: imap.FilterInboxes}, Events: []imap.Event{{Kind: imap.EventFlagChange}}},
		{Filter: imap.FolderFilter{Kind: imap.FilterMailboxes, Folders: []string{"x"}}}}}},
	{"a FETCH 1 (BODY.PEEK[1.2.header.fields (From)]<3.4> MODSEQ)", imap.Fetch{Set: one, Items: []imap.FetchItem{
		{Kind: imap.FetchBodySection, Peek: true, Partial: &imap.Partial{Offset: 3, Count: 4},
			Section: imap.Section{Part: []uint32{1, 2}, Text: imap.SectionHeaderFields, Fields: []string{"From"}}}, {Kind: imap.FetchModSeq}}}},
	{"a FETCH * BODY (CHANGEDSINCE 3 VANISHED)", imap.Fetch{Set: stars, Items: []imap.FetchItem{{Kind: imap.FetchBody}}, ChangedSince: 3, Vanished: true}},
	{"a FETCH 1 BINARY.SIZE[2]", imap.Fetch{Set: one, Items: []imap.FetchItem{{Kind: imap.FetchBinarySize, Section: imap.Section{Part: []uint32{2}}}}}},
	{"a SEARCH UNSEEN KEYWORD Foo", imap.Search{Key: imap.SearchKey{Op: imap.SearchAnd, Keys: []imap.SearchKey{
		{Op: imap.SearchLacksFlag, Flag: mail.FlagSeen}, {Op: imap.SearchHasFlag, Flag: "foo"}}}}},
	{"a SEARCH OR 1 NOT UID *", imap.Search{Key: imap.SearchKey{Op: imap.SearchOr, Keys: []imap.SearchKey{
		{Op: imap.SearchNumbers, Set: one}, {Op: imap.SearchNot, Keys: []imap.SearchKey{{Op: imap.SearchUIDs, Set: stars}}}}}}},
	{"a SEARCH CHARSET koi8-r SUBJECT {1}\n\xc1", imap.Search{Charset: "KOI8-R", Key: imap.SearchKey{Op: imap.SearchSubject, Text: "\xc1"}}},
	{"a SEARCH SENTON 1-Feb-1994", imap.Search{Key: imap.SearchKey{Op: imap.SearchSentOn, Date: day(1994, 2, 1)}}},
	{`a SEARCH MODSEQ "/flags/\\recent" all 9`, imap.Search{Key: imap.SearchKey{Op: imap.SearchModSeq, Entry: `\recent`, Scope: "all", ModSeq: 9}}},
	{"a SEARCH RETURN () YOUNGER 9", imap.Search{Return: imap.SearchReturn{Given: true, All: true}, Key: imap.SearchKey{Op: imap.SearchYounger, Number: 9}}},
	{"a ESEARCH IN (subtree (a b)) ALL", imap.Search{Sources: []imap.FolderFilter{{Kind: imap.FilterSubtree, Folders: []string{"a", "b"}}},
		Key: imap.SearchKey{Op: imap.SearchAll}}},
	{"a SORT (REVERSE date) utf-8 ALL", imap.Sort{Criteria: []imap.SortCriterion{{Key: imap.SortDate, Reverse: true}}, Charset: "UTF-8",
		Key: imap.SearchKey{Op: imap.SearchAll}}},
	{"a THREAD references utf-8 THREADID x", imap.Thread{Algorithm: imap.ThreadReferences, Charset: "UTF-8",
		Key: imap.SearchKey{Op: imap.SearchThreadID, ID: "x"}}},
}

func TestCommandValues(t *testing.T) {
	for _, tt := range values {
		c, err := parse(wire(tt.in), imap.Dialect{})
		if err != nil {
			t.Errorf("parse(%q) = %v", tt.in, err)
			continue
		}
		if same(c.Args, tt.want) {
			continue
		}
		t.Errorf("parse(%q) = %#v, want %#v", tt.in, c.Args, tt.want)
	}
}

// same compares values; times by what they say, not by how their zones are kept.
func same(a, b any) bool {
	return reflect.DeepEqual(inUTC(reflect.ValueOf(a)), inUTC(reflect.ValueOf(b)))
}

// inUTC copies a value with its times as text.
func inUTC(v reflect.Value) any {
	if !v.IsValid() {
		return nil
	}
	if t, ok := v.Interface().(time.Time); ok {
		return t.Format(time.RFC3339)
	}
	switch v.Kind() {
	case reflect.Struct:
		fields := map[string]any{"": v.Type().String()}
		for i := range v.NumField() {
			fields[v.Type().Field(i).Name] = inUTC(v.Field(i))
		}
		return fields
	case reflect.Slice:
		if v.IsNil() {
			return nil
		}
		elements := []any{}
		for i := range v.Len() {
			elements = append(elements, inUTC(v.Index(i)))
		}
		return elements
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return inUTC(v.Elem())
	}
	return v.Interface()
}

func TestDialectUTF8(t *testing.T) {
	for _, tt := range []struct{ in, folder, out string }{
		{"a SELECT \"\xc3\xa9\"\r\n", "é", "a SELECT \"\xc3\xa9\"\r\n"},
		{"a SELECT {2}\r\n\xc3\xa9\r\n", "é", "a SELECT \"\xc3\xa9\"\r\n"},
		{"a SELECT \"e\xcc\x81\"\r\n", "é", "a SELECT \"e\xcc\x81\"\r\n"}, // to NFC (RFC 9051 §5.1, RFC 5198 §3), and as it was given
		{"a SELECT &AOk-\r\n", "&AOk-", "a SELECT &AOk-\r\n"},
		{"a SELECT a&b\r\n", "a&b", "a SELECT a&b\r\n"},
	} {
		c, err := parse(tt.in, utf8Dialect)
		if err != nil || c.Args.(imap.Select).Folder != tt.folder {
			t.Errorf("parse(%q) = %+v, %v, want folder %q", tt.in, c, err, tt.folder)
			continue
		}
		if out, err := imap.AppendCommand(nil, c, utf8Dialect, false); string(out) != tt.out || err != nil {
			t.Errorf("parse(%q) is written as %q, %v, want %q", tt.in, out, err, tt.out)
		}
	}
	if c, err := parse("a SELECT {1}\r\n\xff\r\n", utf8Dialect); err == nil {
		t.Errorf("a name that is not UTF-8 = %+v, want an error", c)
	}
}

func TestNonSync(t *testing.T) {
	c, err := parse("a LOGIN u {2}\r\n\xff\xff\r\n", imap.Dialect{})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := imap.AppendCommand(nil, c, imap.Dialect{}, true); string(out) != "a LOGIN u {2+}\r\n\xff\xff\r\n" || err != nil {
		t.Errorf("AppendCommand = %q, %v", out, err)
	}
}

func TestSetsSeen(t *testing.T) {
	for item, want := range map[string]bool{"BODY[]": true, "BODY.PEEK[]": false, "RFC822": true, "RFC822.HEADER": false,
		"RFC822.TEXT": true, "BINARY[1]": true, "BINARY.PEEK[1]": false, "BINARY.SIZE[1]": false, "FLAGS": false, "BODY": false, "PREVIEW": false} {
		c, err := parse("a FETCH 1 "+item+"\r\n", imap.Dialect{})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Args.(imap.Fetch).Items[0].SetsSeen(); got != want {
			t.Errorf("%s sets \\Seen: %v, want %v", item, got, want)
		}
	}
}
