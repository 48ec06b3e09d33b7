package imap_test

import (
	"strings"
	"testing"
	"time"

	"porcupine/internal/mail"
	"porcupine/internal/mail/imap"
)

func code(name imap.CodeName) imap.Code { return imap.Code{Name: name} }

func kind(k imap.FetchKind) imap.FetchItem { return imap.FetchItem{Kind: k} }

var summer = time.Date(1996, 7, 17, 2, 44, 25, 0, time.FixedZone("", -7*3600))

// responses are responses and how they are written. Both directions are tested.
var responses = []struct {
	value imap.Response
	text  string
}{
	// RFC 9051 §7.1
	{imap.Reply{Kind: imap.OK, Text: "IMAP4rev2 server ready"}, "* OK IMAP4rev2 server ready"},
	{imap.Reply{Tag: "a1", Kind: imap.NO, Text: "no such folder"}, "a1 NO no such folder"},
	{imap.Reply{Tag: "a1", Kind: imap.BAD, Text: "what {3}"}, "a1 BAD what {3}"},
	{imap.Reply{Kind: imap.BYE, Text: "bye \"now"}, "* BYE bye \"now"},
	{imap.Reply{Kind: imap.PREAUTH, Text: "x"}, "* PREAUTH x"},
	{imap.Reply{Kind: imap.OK, Code: code(imap.CodeAlert), Text: "System shutdown in 10 minutes"}, "* OK [ALERT] System shutdown in 10 minutes"},
	{imap.Reply{Tag: "a", Kind: imap.OK, Code: code(imap.CodeReadWrite), Text: "done"}, "a OK [READ-WRITE] done"},
	{imap.Reply{Tag: "a", Kind: imap.NO, Code: code(imap.CodeTryCreate), Text: "x"}, "a NO [TRYCREATE] x"},
	{imap.Reply{Kind: imap.OK, Code: imap.Code{Name: imap.CodeUIDNext, Number: 4392}, Text: "x"}, "* OK [UIDNEXT 4392] x"},
	{imap.Reply{Kind: imap.OK, Code: imap.Code{Name: imap.CodeUIDValidity, Number: 3857529045}, Text: "x"}, "* OK [UIDVALIDITY 3857529045] x"},
	{imap.Reply{Kind: imap.OK, Code: imap.Code{Name: imap.CodeUnseen, Number: 12}, Text: "x"}, "* OK [UNSEEN 12] x"},
	{imap.Reply{Kind: imap.OK, Code: imap.Code{Name: imap.CodeHighestModSeq, Number: 1<<63 - 1}, Text: "x"}, "* OK [HIGHESTMODSEQ 9223372036854775807] x"},
	{imap.Reply{Kind: imap.OK, Code: imap.Code{Name: imap.CodePermanentFlags, Words: []string{`\Deleted`, `\Seen`, `\*`}}, Text: "x"},
		`* OK [PERMANENTFLAGS (\Deleted \Seen \*)] x`},
	{imap.Reply{Kind: imap.OK, Code: imap.Code{Name: imap.CodePermanentFlags}, Text: "x"}, `* OK [PERMANENTFLAGS ()] x`},
	{imap.Reply{Kind: imap.OK, Code: imap.Code{Name: imap.CodeCapability, Words: []string{"IMAP4rev2", "AUTH=PLAIN"}}, Text: "x"},
		"* OK [CAPABILITY IMAP4rev2 AUTH=PLAIN] x"},
	{imap.Reply{Tag: "a", Kind: imap.NO, Code: imap.Code{Name: imap.CodeBadCharset, Words: []string{"UTF-8", "US-ASCII"}}, Text: "x"},
		"a NO [BADCHARSET (UTF-8 US-ASCII)] x"},
	{imap.Reply{Tag: "a", Kind: imap.NO, Code: code(imap.CodeBadCharset), Text: "x"}, "a NO [BADCHARSET] x"},
	{imap.Reply{Tag: "a", Kind: imap.OK, Code: imap.Code{Name: imap.CodeAppendUID, Number: 38505, To: []mail.UID{3955, 3956, 3957, 9}}, Text: "x"},
		"a OK [APPENDUID 38505 3955:3957,9] x"},
	{imap.Reply{Tag: "a", Kind: imap.OK, Code: imap.Code{Name: imap.CodeCopyUID, Number: 38505, From: []mail.UID{304, 319, 320},
		To: []mail.UID{3956, 3957, 3958}}, Text: "x"}, "a OK [COPYUID 38505 304,319:320 3956:3958] x"},
	{imap.Reply{Tag: "a", Kind: imap.OK, Code: imap.Code{Name: imap.CodeModified, Set: set(imap.NumRange{First: 7, Last: 7},
		imap.NumRange{First: 9, Last: 12})}, Text: "x"}, "a OK [MODIFIED 7,9:12] x"},
	{imap.Reply{Tag: "a", Kind: imap.OK, Code: imap.Code{Name: imap.CodeMailboxID, Words: []string{"F2212ea87-6097"}}, Text: "x"},
		"a OK [MAILBOXID (F2212ea87-6097)] x"},
	{imap.Reply{Tag: "a", Kind: imap.NO, Code: code(imap.CodeMetadataTooMany), Text: "x"}, "a NO [METADATA TOOMANY] x"},
	{imap.Reply{Tag: "a", Kind: imap.OK, Code: imap.Code{Name: imap.CodeMetadataLongEntries, Number: 2199}, Text: "x"}, "a OK [METADATA LONGENTRIES 2199] x"},
	{imap.Reply{Tag: "a", Kind: imap.NO, Code: imap.Code{Name: imap.CodeMetadataMaxSize, Number: 1024}, Text: "x"}, "a NO [METADATA MAXSIZE 1024] x"},
	{imap.Reply{Tag: "a", Kind: imap.NO, Code: imap.Code{Name: imap.CodeBadEvent, Words: []string{"FlagChange"}}, Text: "x"}, "a NO [BADEVENT (FlagChange)] x"},
	{imap.Reply{Tag: "a", Kind: imap.OK, Code: imap.Code{Name: "X-NEW", Words: []string{"a", "(b)"}}, Text: "x"}, "a OK [X-NEW a (b)] x"},
	{imap.Continue{Text: ""}, "+ "},
	{imap.Continue{Text: "idling"}, "+ idling"},
	// RFC 9051 §7.2
	{imap.CapabilityData{Names: []string{"IMAP4REV2", "AUTH=PLAIN"}}, "* CAPABILITY IMAP4REV2 AUTH=PLAIN"},
	{imap.EnabledData{Names: []string{"CONDSTORE"}}, "* ENABLED CONDSTORE"},
	{imap.EnabledData{}, "* ENABLED"},
	{imap.IDData{}, "* ID NIL"},
	{imap.IDData{Fields: []imap.IDField{{Name: "name", Value: []byte("x")}, {Name: "os"}}}, `* ID ("name" "x" "os" NIL)`},
	// RFC 9051 §7.3
	{imap.ListData{Attributes: []string{imap.AttrNoSelect, imap.AttrHasChildren}, Folder: "é"}, `* LIST (\Noselect \HasChildren) "/" &AOk-`},
	{imap.ListData{Folder: "", Attributes: []string{imap.AttrNoSelect}}, `* LIST (\Noselect) "/" ""`},
	{imap.ListData{Lsub: true, Folder: "a b"}, `* LSUB () "/" "a b"`},
	{imap.ListData{Folder: "x.y", Delimiter: '.'}, `* LIST () "." x.y`},
	{imap.ListData{Folder: "x", Delimiter: '"'}, `* LIST () "\"" x`},
	{imap.ListData{NoLevels: true, Folder: "x"}, `* LIST () NIL x`},
	{imap.ListData{Folder: "Foo", ChildInfo: []string{"SUBSCRIBED"}}, `* LIST () "/" Foo ("CHILDINFO" ("SUBSCRIBED"))`},
	{imap.ListData{Folder: "new", OldName: "old"}, `* LIST () "/" new ("OLDNAME" (old))`},
	{imap.ListData{Folder: "n", ChildInfo: []string{"SUBSCRIBED", "SPECIAL-USE"}, OldName: "o"}, `* LIST () "/" n ("CHILDINFO" ("SUBSCRIBED" "SPECIAL-USE") "OLDNAME" (o))`},
	{imap.NamespaceData{Personal: []imap.Namespace{{Prefix: "", Delimiter: '/'}}}, `* NAMESPACE (("" "/")) NIL NIL`},
	{imap.NamespaceData{Personal: []imap.Namespace{{Delimiter: '/'}}, Others: []imap.Namespace{{Prefix: "~", Delimiter: '/'}},
		Shared: []imap.Namespace{{Prefix: "#s/", Delimiter: '/'}, {Prefix: "x"}}}, `* NAMESPACE (("" "/")) (("~" "/")) (("#s/" "/")("x" NIL))`},
	{imap.StatusData{Folder: "INBOX", Values: []imap.StatusValue{{Item: imap.StatusMessages, Number: 231}, {Item: imap.StatusUIDNext, Number: 44292},
		{Item: imap.StatusMailboxID, ID: "F1"}, {Item: imap.StatusAppendLimit, Nil: true}, {Item: imap.StatusSize, Number: 1 << 40}}},
		"* STATUS INBOX (MESSAGES 231 UIDNEXT 44292 MAILBOXID (F1) APPENDLIMIT NIL SIZE 1099511627776)"},
	{imap.StatusData{Folder: "x"}, "* STATUS x ()"},
	{imap.SearchData{}, "* SEARCH"},
	{imap.SearchData{Numbers: []uint32{2, 84, 882}}, "* SEARCH 2 84 882"},
	{imap.SearchData{Numbers: []uint32{2}, ModSeq: 917162500}, "* SEARCH 2 (MODSEQ 917162500)"},
	{imap.SortData{Numbers: []uint32{5, 3}, ModSeq: 9}, "* SORT 5 3 (MODSEQ 9)"},
	{imap.ESearchData{Tag: "A282", Min: 2, HasCount: true, Count: 3}, `* ESEARCH (TAG "A282") MIN 2 COUNT 3`},
	{imap.ESearchData{Tag: "A", UID: true, All: one, Max: 9, ModSeq: 7}, `* ESEARCH (TAG "A") UID MAX 9 ALL 1 MODSEQ 7`},
	{imap.ESearchData{Tag: "A", HasCount: true}, `* ESEARCH (TAG "A") COUNT 0`},
	{imap.ESearchData{Tag: "A"}, `* ESEARCH (TAG "A")`},
	{imap.ESearchData{Tag: "A", UID: true, Folder: "f", UIDValidity: 4, All: one}, `* ESEARCH (TAG "A" MAILBOX f UIDVALIDITY 4) UID ALL 1`},
	{imap.FlagsData{Flags: []mail.Flag{`\Seen`, "foo", "$junk"}}, `* FLAGS (\Seen foo $Junk)`},
	{imap.ThreadData{}, "* THREAD"},
	{imap.ThreadData{Threads: []imap.ThreadNode{{Number: 2}, {Number: 3, Children: []imap.ThreadNode{{Number: 6, Children: []imap.ThreadNode{
		{Number: 4, Children: []imap.ThreadNode{{Number: 23}}}, {Number: 44, Children: []imap.ThreadNode{{Number: 7,
			Children: []imap.ThreadNode{{Number: 96}}}}}}}}}}}, "* THREAD (2)(3 6 (4 23)(44 7 96))"}, // RFC 5256 §4
	{imap.ThreadData{Threads: []imap.ThreadNode{{Children: []imap.ThreadNode{{Number: 3}, {Number: 5}}}}}, "* THREAD ((3)(5))"},
	{imap.QuotaData{Root: "", Resources: []imap.QuotaResource{{Name: "STORAGE", Usage: 10, Limit: 512}, {Name: "MESSAGE", Usage: 1, Limit: 2}}},
		`* QUOTA "" (STORAGE 10 512 MESSAGE 1 2)`},
	{imap.QuotaRootData{Folder: "INBOX", Roots: []string{"", "r"}}, `* QUOTAROOT INBOX "" r`},
	{imap.QuotaRootData{Folder: "x"}, `* QUOTAROOT x`},
	{imap.MetadataData{Folder: "", Values: []imap.MetadataValue{{Entry: "/shared/comment", Value: []byte("a")}, {Entry: "/private/x"}}},
		`* METADATA "" (/shared/comment "a" /private/x NIL)`},
	{imap.MetadataData{Folder: "INBOX", Changed: []string{"/shared/comment", "/private/x"}}, `* METADATA INBOX /shared/comment /private/x`},
	// RFC 9051 §7.4, §7.5
	{imap.ExistsData{Count: 0}, "* 0 EXISTS"},
	{imap.RecentData{Count: 5}, "* 5 RECENT"},
	{imap.ExpungeData{Number: 44}, "* 44 EXPUNGE"},
	{imap.VanishedData{UIDs: uids(300, 301, 302, 405)}, "* VANISHED 300:302,405"},
	{imap.VanishedData{Earlier: true, UIDs: uids(41)}, "* VANISHED (EARLIER) 41"},
	{imap.FetchData{Number: 1, Values: []imap.FetchValue{{Item: kind(imap.FetchFlags), Flags: []mail.Flag{`\Seen`, `\Recent`}},
		{Item: kind(imap.FetchUID), Number: 7}, {Item: kind(imap.FetchRFC822Size), Number: 44827}}}, `* 1 FETCH (FLAGS (\Seen \Recent) UID 7 RFC822.SIZE 44827)`},
	{imap.FetchData{Number: 1, Values: []imap.FetchValue{{Item: kind(imap.FetchFlags), Flags: []mail.Flag{}}}}, `* 1 FETCH (FLAGS ())`},
	{imap.FetchData{Number: 1, Values: []imap.FetchValue{{Item: kind(imap.FetchInternalDate), Time: summer}, {Item: kind(imap.FetchSaveDate), Time: day(2020, 1, 2)}}},
		`* 1 FETCH (INTERNALDATE "17-Jul-1996 02:44:25 -0700" SAVEDATE " 2-Jan-2020 00:00:00 +0000")`},
	{imap.FetchData{Number: 1, Values: []imap.FetchValue{{Item: kind(imap.FetchSaveDate)}, {Item: kind(imap.FetchModSeq), Number: 624140003},
		{Item: kind(imap.FetchEmailID), ID: "M1"}, {Item: kind(imap.FetchThreadID)}, {Item: kind(imap.FetchThreadID), ID: "T1"}, {Item: kind(imap.FetchPreview)}}},
		`* 1 FETCH (SAVEDATE NIL MODSEQ (624140003) EMAILID (M1) THREADID NIL THREADID (T1) PREVIEW NIL)`},
	{imap.FetchData{Number: 1, Values: []imap.FetchValue{{Item: kind(imap.FetchPreview), Octets: []byte("hello")}}}, `* 1 FETCH (PREVIEW "hello")`},
	{imap.FetchData{Number: 12, Values: []imap.FetchValue{{Item: imap.FetchItem{Kind: imap.FetchBodySection}, Octets: []byte("a\r\nb")}}},
		"* 12 FETCH (BODY[] {4}\na\r\nb)"},
	{imap.FetchData{Number: 12, Values: []imap.FetchValue{{Item: imap.FetchItem{Kind: imap.FetchBodySection, Partial: &imap.Partial{Offset: 5},
		Section: imap.Section{Part: []uint32{1, 2}, Text: imap.SectionHeaderFieldsNot, Fields: []string{"a b", "c"}}}, Octets: []byte("x")},
		{Item: imap.FetchItem{Kind: imap.FetchBinary, Section: imap.Section{Part: []uint32{3}}}, Octets: []byte("\x00")},
		{Item: imap.FetchItem{Kind: imap.FetchBinarySize, Section: imap.Section{Part: []uint32{3}}}, Number: 1},
		{Item: kind(imap.FetchRFC822Header)}}},
		"* 12 FETCH (BODY[1.2.HEADER.FIELDS.NOT (\"a b\" c)]<5> {1}\nx BINARY[3] ~{1}\n\x00 BINARY.SIZE[3] 1 RFC822.HEADER NIL)"},
	{imap.FetchData{Number: 1, Values: []imap.FetchValue{{Item: kind(imap.FetchEnvelope), Envelope: &imap.Envelope{
		Date: []byte("Wed, 17 Jul 1996 02:23:25 -0700"), Subject: []byte(`a "b"`),
		From: []imap.EnvelopeAddress{{Name: []byte("Terry"), Mailbox: []byte("gray"), Host: []byte("cac.example")}},
		To:   []imap.EnvelopeAddress{{Mailbox: []byte("group")}, {}}, MessageID: []byte("<x>"), InReplyTo: []byte{}}}}},
		`* 1 FETCH (ENVELOPE ("Wed, 17 Jul 1996 02:23:25 -0700" "a \"b\"" (("Terry" NIL "gray" "cac.example")) NIL NIL ((NIL NIL "group" NIL)(NIL NIL NIL NIL)) NIL NIL "" "<x>"))`},
	{imap.FetchData{Number: 1, Values: []imap.FetchValue{{Item: kind(imap.FetchBody), Structure: &imap.BodyStructure{Type: "TEXT", Subtype: "PLAIN",
		Params: []imap.Param{{Name: "CHARSET", Value: "US-ASCII"}}, Encoding: "7BIT", Size: 3028, Lines: 92}}}},
		`* 1 FETCH (BODY ("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 3028 92))`},
	{imap.FetchData{Number: 1, Values: []imap.FetchValue{{Item: kind(imap.FetchBodyStructure), Structure: mixed}}}, mixedText},
}

var mixed = &imap.BodyStructure{Subtype: "mixed", Params: []imap.Param{{Name: "boundary", Value: "x"}}, Location: []byte("l"), Parts: []*imap.BodyStructure{
	{Type: "text", Subtype: "html", Encoding: "base64", Size: 1, Lines: 2, MD5: []byte("m"), Disposition: &imap.Disposition{Type: "inline"}, Language: []string{"de"}},
	{Type: "message", Subtype: "rfc822", Encoding: "7bit", Size: 9, Lines: 3, ID: []byte("<i>"), Description: []byte("d"), Envelope: &imap.Envelope{},
		Message:     &imap.BodyStructure{Type: "image", Subtype: "png", Encoding: "base64", Size: 5},
		Disposition: &imap.Disposition{Type: "attachment", Params: []imap.Param{{Name: "filename", Value: "f"}}}, Language: []string{"a", "b"}}}}

const mixedText = `* 1 FETCH (BODYSTRUCTURE (("text" "html" NIL NIL NIL "base64" 1 2 "m" ("inline" NIL) ("de") NIL)` +
	`("message" "rfc822" NIL "<i>" "d" "7bit" 9 (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) ("image" "png" NIL NIL NIL "base64" 5 NIL NIL NIL NIL) 3 NIL ` +
	`("attachment" ("filename" "f")) ("a" "b") NIL) "mixed" ("boundary" "x") NIL NIL "l"))`

func TestResponses(t *testing.T) {
	for _, tt := range responses {
		var e imap.Encoder
		if got := string(e.Response(tt.value).Bytes()); got != wire(tt.text) {
			t.Errorf("%+v is written\n%q, want\n%q", tt.value, got, wire(tt.text))
		}
		got, err := parseResponse(wire(tt.text), imap.Dialect{})
		if err != nil || !same(got, tt.value) {
			t.Errorf("%q is read as\n%#v, %v, want\n%#v", tt.text, got, err, tt.value)
		}
	}
}

// badResponses are refused.
var badResponses = []string{"", "*", "* ", "a", "a FOO x", "a BYE x", "a PREAUTH x", "* FOO", "* 1", "* 1 FOO", "* 0 EXPUNGE", "* 0 FETCH ()",
	"* 4294967296 EXISTS", "* 1 EXISTS x", "* OK [UIDNEXT] x", "* OK [UIDNEXT 1 x", "* OK [MODIFIED] x", "* OK [COPYUID 1 1:2 3] x",
	"* OK [APPENDUID 0 1] x", "* OK [APPENDUID 1 *] x", "* OK [APPENDUID 1 1:4294967295] x", "* SEARCH 0", "* SEARCH 1 (MODSEQ 0)", "* SEARCH x",
	"* VANISHED", "* VANISHED *", "* VANISHED 0", "* LIST", `* LIST () "./" x`, `* LIST () "/"`, `* LIST (x) "/" x`, `* STATUS x`, `* STATUS x (FOO 1)`,
	`* STATUS x (UIDNEXT NIL)`, `* THREAD ()`, `* THREAD (1`, `* THREAD ((1))`, `* NAMESPACE NIL NIL`, `* ESEARCH FOO`, `* ESEARCH (FOO "x")`,
	`* 1 FETCH (FOO 1)`, `* 1 FETCH (FLAGS)`, `* 1 FETCH (UID)`, `* 1 FETCH (UID -1)`, `* 1 FETCH (INTERNALDATE "x")`, `* 1 FETCH (MODSEQ 1)`,
	`* 1 FETCH (ENVELOPE ())`, `* 1 FETCH (BODY ())`, `* 1 FETCH (BODY[FOO] "x")`, `* 1 FETCH (BODY[] x)`, `* QUOTA`, `* METADATA x`, `* METADATA x comment`,
	"* 1 FETCH (BODY " + strings.Repeat("(", 200) + ")", "* THREAD " + strings.Repeat("(", imap.ThreadDepthMax+2) + "1"}

func TestResponsesRefused(t *testing.T) {
	for _, text := range badResponses {
		if got, err := parseResponse(text+"\r\n", imap.Dialect{}); err == nil {
			t.Errorf("%.60q is read as %#v, want an error", text, got)
		}
	}
}

// What servers must not say cannot be said.
func TestReplyText(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "* OK .\r\n"},
		{"a\r\n* BYE", "* OK a  * BYE\r\n"},
		{"[ALERT] x", "* OK  [ALERT] x\r\n"},
		{"é\x00", "* OK ? \r\n"},
	} {
		var e imap.Encoder
		if got := string(e.Response(imap.Reply{Kind: imap.OK, Text: tt.text}).Bytes()); got != tt.want {
			t.Errorf("text %q is written %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestStrings(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for _, tt := range []struct{ in, want, utf8 string }{
		{"", `""`, `""`},
		{`a"\b`, `"a\"\\b"`, `"a\"\\b"`},
		{"a\r\n", "{3}\r\na\r\n", "{3}\r\na\r\n"},
		{"é", "{2}\r\né", `"é"`},
		{"\xff", "{1}\r\n\xff", "{1}\r\n\xff"},
		{"a\x00b", "{3}\r\na b", "{3}\r\na b"},
		{"\t\x7f", "\"\t\x7f\"", "\"\t\x7f\""},
		{long, "{2000}\r\n" + long, "{2000}\r\n" + long},
	} {
		var e imap.Encoder
		if got := string(e.String([]byte(tt.in)).Bytes()); got != tt.want {
			t.Errorf("%.20q is written %.40q, want %.40q", tt.in, got, tt.want)
		}
		e = imap.Encoder{Dialect: utf8Dialect}
		if got := string(e.String([]byte(tt.in)).Bytes()); got != tt.utf8 {
			t.Errorf("%.20q is written %.40q in UTF-8, want %.40q", tt.in, got, tt.utf8)
		}
	}
	for in, want := range map[string]string{"a": "a", "nil": `"nil"`, "a]": "a]", "a b": `"a b"`, "": `""`, "a*": `"a*"`} {
		var e imap.Encoder
		if got := string(e.AString(in).Bytes()); got != want {
			t.Errorf("astring %q is written %q, want %q", in, got, want)
		}
	}
	var e imap.Encoder
	if got := string(e.NString(nil).Raw(" ").NString([]byte{}).Bytes()); got != `NIL ""` {
		t.Errorf("nstrings = %q", got)
	}
}

// A long FETCH goes out in pieces, and the pieces are one response.
func TestFetchInPieces(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 4096)
	item := imap.FetchItem{Kind: imap.FetchBodySection, Peek: true, Partial: &imap.Partial{Offset: 10, Count: int64(len(body))}}
	var e imap.Encoder
	var out strings.Builder
	e.BeginFetch(7).FetchUID(9).FetchModSeq(5).FetchSection(item, int64(len(body)))
	out.Write(e.Bytes())
	out.WriteString(body)
	e.Reset()
	e.FetchFlags(nil).FetchSize(3).FetchEmailID("M1").FetchBinarySize(kind(imap.FetchBinarySize), 4).
		FetchSectionShort(imap.FetchItem{Kind: imap.FetchBinary}, []byte("\x00")).FetchSectionNil(kind(imap.FetchRFC822)).EndFetch()
	out.Write(e.Bytes())
	got, err := parseResponse(out.String(), imap.Dialect{})
	if err != nil {
		t.Fatal(err)
	}
	f := got.(imap.FetchData)
	if f.Number != 7 || len(f.Values) != 9 || string(f.Values[2].Octets) != body || f.Values[2].Item.Partial.Offset != 10 {
		t.Errorf("FETCH in pieces is read as message %d with %d items", f.Number, len(f.Values))
	}
}

func TestEncoderMemory(t *testing.T) {
	var e imap.Encoder
	e.Raw(strings.Repeat("x", 1<<20))
	if e.Reset(); cap(e.Bytes()) > 1<<16 {
		t.Errorf("Reset keeps %d octets", cap(e.Bytes()))
	}
	e.Raw("x")
	if n := testing.AllocsPerRun(100, func() {
		e.Reset()
		e.BeginFetch(1).FetchUID(5).FetchSize(1000).FetchFlags([]mail.Flag{mail.FlagSeen}).EndFetch()
	}); n > 1 {
		t.Errorf("a FETCH of a few items allocates %v times", n)
	}
}

// A structure that a message cannot have is told as one that it can have.
func TestStructureOfNothing(t *testing.T) {
	var thread imap.Encoder
	thread.Response(imap.ThreadData{Threads: []imap.ThreadNode{{Children: []imap.ThreadNode{{Number: 3}}}}})
	if got := string(thread.Bytes()); got != "* THREAD (3)\r\n" {
		t.Errorf("a missing message above one other is written %q", got)
	}
	var e imap.Encoder
	e.BeginFetch(1).FetchBodyStructure(nil, false).FetchEnvelope(nil).EndFetch()
	if got, err := parseResponse(string(e.Bytes()), imap.Dialect{}); err != nil {
		t.Errorf("%q is read as %v, %v", e.Bytes(), got, err)
	}
}

func TestDateTimeZones(t *testing.T) {
	for _, tt := range []struct {
		in   time.Time
		want string
	}{
		{summer, `"17-Jul-1996 02:44:25 -0700"`},
		{summer.UTC(), `"17-Jul-1996 09:44:25 +0000"`},
		{time.Date(1800, 1, 1, 0, 0, 0, 0, time.FixedZone("LMT", 3208)), `"31-Dec-1799 23:06:32 +0000"`},
		{time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC), `" 1-Jan-0001 00:00:00 +0000"`},
		{time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC), `"31-Dec-9999 23:59:59 +0000"`},
	} {
		var e imap.Encoder
		if got := string(e.DateTime(tt.in).Bytes()); got != tt.want {
			t.Errorf("%v is written %s, want %s", tt.in, got, tt.want)
		}
	}
}

// What is stored wrongly does not break the protocol.
func TestFlagsThatAreNone(t *testing.T) {
	var e imap.Encoder
	e.Flags([]mail.Flag{"a b", "x\r\n* BYE", mail.FlagSeen, "", "(", "ok", `\`, "é"}).Raw(" ").
		Response(imap.Reply{Kind: imap.OK, Code: imap.Code{Name: imap.CodePermanentFlags, Words: []string{"$junk", "a)", `\*`}}, Text: "x"})
	if got, want := string(e.Bytes()), `(\Seen ok) * OK [PERMANENTFLAGS ($Junk \*)] x`+"\r\n"; got != want {
		t.Errorf("flags are written %q, want %q", got, want)
	}
}
