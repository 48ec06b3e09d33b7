package search

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/message"
)

const mixed = "Date: Mon, 23 Nov 2026 01:30:00 +0200\r\n" +
	"From: =?iso-8859-1?q?J=F6rg?= M\xc3\xbcller <joerg@Example.test>\r\n" +
	"To: Friends: alice@example.test, \"Bob (the) Builder\" <bob@example.test>;, carol@example.test\r\n" +
	"Subject: =?utf-8?q?Caf=C3=A9?= at\r\n\tnoon\r\n" +
	"Message-ID: <1@example.test>\r\n" +
	"X-Long: one\r\n  two\r\n\tthree\r\n" +
	"Received: from a\r\nReceived: from b\r\n" +
	"X-Empty:\r\n" +
	"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n" +
	"--b\r\nContent-Type: text/plain; charset=windows-1251\r\nContent-Transfer-Encoding: base64\r\n\r\nz/Do4uXyLCDs6PA=\r\n" +
	"--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<b>long=\r\ner</b> stra=C3=9Fe\r\n" +
	"--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=kitten.png\r\n\r\naW52aXNpYmxl\r\n" +
	"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner subject\r\nX-Inner: yes\r\n\r\ninner body\r\n" +
	"--b--\r\n"

func TestMatch(t *testing.T) {
	m := newText(t, mixed)
	m.summary.Flags = []mail.Flag{mail.FlagFlagged, mail.FlagSeen, "work"}
	m.summary.Received = time.Date(2026, 11, 20, 23, 59, 0, 0, time.UTC)
	m.summary.Saved = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	m.summary.ModSeq = 50
	m.summary.Email = mail.MessageID{1}
	day := func(d int) Day { return DayOf(time.Date(2026, 11, d, 0, 0, 0, 0, time.UTC)) }
	seconds := uint64(testNow.Sub(m.summary.Received) / time.Second)
	size := uint64(len(mixed))
	tests := []struct {
		name string
		key  Key
		want bool
	}{
		{"all", Key{}, true},
		{"none", None(), false},
		{"and of none", And(), true},
		{"flag", Flag(mail.FlagSeen), true},
		{"no flag", Flag(mail.FlagDraft), false},
		{"keyword", Flag("work"), true},
		{"uid", Key{Op: OpUIDs, UIDs: mail.NewUIDSet(1, 7)}, true},
		{"other uid", Key{Op: OpUIDs, UIDs: mail.NewUIDSet(1, 8)}, false},
		{"larger", Key{Op: OpLarger, Number: size - 1}, true},
		{"not larger", Key{Op: OpLarger, Number: size}, false},
		{"smaller", Key{Op: OpSmaller, Number: size + 1}, true},
		{"not smaller", Key{Op: OpSmaller, Number: size}, false},
		{"before", Key{Op: OpBefore, Day: day(21)}, true},
		{"not before", Key{Op: OpBefore, Day: day(20)}, false},
		{"on", Key{Op: OpOn, Day: day(20)}, true},
		{"since", Key{Op: OpSince, Day: day(20)}, true},
		{"not since", Key{Op: OpSince, Day: day(21)}, false},
		{"sent in its own zone", Key{Op: OpSentOn, Day: day(23)}, true},
		{"sent before", Key{Op: OpSentBefore, Day: day(24)}, true},
		{"sent since", Key{Op: OpSentSince, Day: day(24)}, false},
		{"saved on", Key{Op: OpSavedOn, Day: day(21)}, true},
		{"saved before", Key{Op: OpSavedBefore, Day: day(21)}, false},
		{"saved since", Key{Op: OpSavedSince, Day: day(21)}, true},
		{"older", Key{Op: OpOlder, Number: seconds}, true},
		{"not older", Key{Op: OpOlder, Number: seconds + 1}, false},
		{"younger", Key{Op: OpYounger, Number: seconds}, true},
		{"not younger", Key{Op: OpYounger, Number: seconds - 1}, false},
		{"older than time itself", Key{Op: OpOlder, Number: 1<<64 - 1}, false},
		{"modseq", Key{Op: OpModSeq, Number: 50}, true},
		{"higher modseq", Key{Op: OpModSeq, Number: 51}, false},
		{"emailid", Key{Op: OpEmailID, Text: strings.ToUpper(m.summary.Email.String())}, true},
		{"other emailid", Key{Op: OpEmailID, Text: "x"}, false},
		{"threadid", Key{Op: OpThreadID, Text: ThreadID(&m.summary, m.index)}, true},
		{"other threadid", Key{Op: OpThreadID, Text: "x"}, false},

		{"from, decoded", Header("from", "jörg mü"), true},
		{"from, address", Header("FROM", "JOERG@example"), true},
		{"from, other", Header("From", "alice"), false},
		{"to, in a group", Header("to", "alice@example.test"), true},
		{"to, name of a group", Header("to", "friends:"), true},
		{"to, after a group", Header("to", "carol"), true},
		{"cc, absent", Header("cc", ""), false},
		{"bcc, absent", Header("bcc", "x"), false},
		{"subject, folded by title case", Header("subject", "CAFÉ AT NOON"), true},
		{"subject, decomposed", Header("subject", "cafe\u0301"), true},
		{"subject, blanks as one", Header("subject", "at   noon"), true},
		{"subject, empty", Header("subject", ""), true},
		{"subject is not the inner one", Header("subject", "inner"), false},
		{"message-id", Header("message-id", "1@example.test"), true},
		{"another field", Header("X-Long", "one two three"), true},
		{"a field that is there", Header("x-empty", ""), true},
		{"a field that is not there", Header("x-none", ""), false},
		{"a field that is only in a part", Header("x-inner", ""), false},
		{"the second of its name", Header("received", "from b"), true},
		{"not across fields", Header("received", "a from"), false},

		{"body in another charset", Key{Op: OpBody, Text: "привет, МИР"}, true},
		{"body over a soft break", Key{Op: OpBody, Text: "LONGER</b>"}, true},
		{"body, sharp s", Key{Op: OpBody, Text: "Straße"}, true},
		{"body, no full folding", Key{Op: OpBody, Text: "STRASSE"}, false},
		{"body of a message within", Key{Op: OpBody, Text: "inner body"}, true},
		{"body is not headers", Key{Op: OpBody, Text: "café"}, false},
		{"body is not headers within", Key{Op: OpBody, Text: "inner subject"}, false},
		{"body is not attachments", Key{Op: OpBody, Text: "invisible"}, false},
		{"body is not what attachments look like", Key{Op: OpBody, Text: "aW52"}, false},
		{"body, empty", Key{Op: OpBody}, true},
		{"body, CR alone", Key{Op: OpBody, Text: "\r"}, true},
		{"body, over the end of a line", Key{Op: OpBody, Text: "</b> straße\r\n"}, false},
		{"text, header", Key{Op: OpText, Text: "subject: café AT"}, true},
		{"text, header of a part", Key{Op: OpText, Text: "filename=KITTEN"}, true},
		{"text, header within", Key{Op: OpText, Text: "X-Inner: yes"}, true},
		{"text, body", Key{Op: OpText, Text: "привет"}, true},
		{"text, nowhere", Key{Op: OpText, Text: "nowhere"}, false},
		{"text, empty", Key{Op: OpText}, true},

		{"not", Not(Key{Op: OpText, Text: "nowhere"}), true},
		{"and", And(Flag(mail.FlagSeen), Header("from", "jörg"), Key{Op: OpBody, Text: "МИР"}), true},
		{"or", Or(Flag(mail.FlagDraft), Key{Op: OpBody, Text: "nowhere"}, Header("x-long", "TWO")), true},
		{"not of or", Not(Or(Flag(mail.FlagSeen), Key{Op: OpText, Text: "nowhere"})), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, m.slow = range []bool{false, true} {
				if got := match(t, tt.key, m); got != tt.want {
					t.Errorf("match (octet by octet: %v) = %v, want %v", m.slow, got, tt.want)
				}
			}
			// As it is written and read again, it means the same.
			b, err := json.Marshal(tt.key)
			if err != nil {
				t.Fatal(err)
			}
			var again Key
			if err := json.Unmarshal(b, &again); err != nil {
				t.Fatal(err)
			}
			if got := match(t, again, m); got != tt.want {
				t.Errorf("match after JSON %s = %v, want %v", b, got, tt.want)
			}
		})
	}
}

// Contents are read only where the cheap keys leave it open, and no further than it takes.
func TestContentsAreReadLast(t *testing.T) {
	m := newText(t, mixed)
	body := Key{Op: OpBody, Text: "привет"}
	tests := []struct {
		name   string
		key    Key
		opened int
	}{
		{"decided by the summary", And(body, Flag(mail.FlagDraft)), 0},
		{"decided by the structure", And(body, Header("from", "nobody")), 0},
		{"or, decided by the structure", Or(body, Header("from", "joerg")), 0},
		{"not decided", And(body, Header("from", "joerg")), 1},
		{"or, decided by the fields that the structure keeps", Or(body, Header("x-long", "one")), 0},
		{"decided by the fields that the structure keeps", And(body, Header("x-long", "nowhere")), 0},
		{"a trace, which it does not keep", Or(body, Header("received", "one")), 1},
	}
	for _, tt := range tests {
		m.opened = 0
		match(t, tt.key, m)
		if m.opened != tt.opened {
			t.Errorf("%s: opened %d times, want %d", tt.name, m.opened, tt.opened)
		}
	}
	large := newText(t, "Subject: x\r\nX-A: there\r\n\r\n"+strings.Repeat("line\r\n", 100_000))
	if !match(t, Or(Header("x-a", "there"), body), large) || large.read > 100 {
		t.Errorf("read %d octets of a large message, whose header decides", large.read)
	}
	// Attachments that nobody looks into are not read.
	large = newText(t, "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"+
		strings.Repeat("QUFB\r\n", 500_000)+"\r\n--b\r\n\r\nhello\r\n--b--\r\n")
	if !match(t, Key{Op: OpBody, Text: "HELLO"}, large) || large.read > 1000 {
		t.Errorf("read %d octets of a message with an attachment", large.read)
	}
}

// A header that is too large for the structure to know all of it is read.
func TestLargeHeaders(t *testing.T) {
	many := make([]string, 3000)
	for i := range many {
		many[i] = fmt.Sprintf("a%d@example.test", i)
	}
	for name, m := range map[string]*text{
		"addresses": newText(t, "To: "+strings.Join(many, ",\r\n ")+"\r\n\r\nx"),
		"fields":    newText(t, strings.Repeat("X-Filler: "+strings.Repeat("x", 900)+"\r\n", 500)+"To: "+many[2999]+"\r\n\r\nx"),
	} {
		for _, tt := range []struct {
			key  Key
			want bool
		}{
			{Header("to", "a2999@example"), true},
			{Header("to", "a3000@example"), false},
			{Header("cc", ""), false},
			{And(Header("to", "a2999"), Key{Op: OpBody, Text: "x"}), true},
			{And(Header("to", "a2999"), Key{Op: OpBody, Text: "a2999"}), false},
		} {
			if got := match(t, tt.key, m); got != tt.want {
				t.Errorf("%s: match(%v) = %v, want %v", name, tt.key, got, tt.want)
			}
		}
	}
}

// A needle is found wherever the borders of what is read at once fall.
func TestMatchAcrossChunks(t *testing.T) {
	for _, needle := range []string{"needle", strings.Repeat("ab", 100), "Ünïcödé", "日本語テキスト"} {
		for _, encoding := range []string{"8bit", "base64", "quoted-printable"} {
			for shift := -len(needle) - 5; shift <= 5; shift += 1 + len(needle)/40 {
				part := specText("utf-8", encoding, strings.Repeat("x", chunkSize+shift)+needle+strings.Repeat("y", 50))
				s := spec{parts: []specPart{part}}
				m := newText(t, s.write())
				if !match(t, Key{Op: OpBody, Text: strings.ToUpper(needle)}, m) {
					t.Fatalf("%.20q, %s, %d octets from the border: not found", needle, encoding, shift)
				}
				if match(t, Key{Op: OpBody, Text: needle + "z"}, m) {
					t.Fatalf("%.20q, %s, %d octets from the border: found what is not there", needle, encoding, shift)
				}
			}
		}
	}
}

func TestCompileLimits(t *testing.T) {
	deep := Key{}
	for range DepthMax {
		deep = Not(deep)
	}
	many := make([]Key, NeedlesMax+1)
	for i := range many {
		many[i] = Key{Op: OpBody, Text: strings.Repeat("x", i+1)}
	}
	same := make([]Key, KeysMax-1)
	for i := range same {
		same[i] = Key{Op: OpBody, Text: "x"}
	}
	tests := []struct {
		name string
		key  Key
		kind cluster.Kind
		ok   bool
	}{
		{"deep", deep, cluster.KindLimit, false},
		{"deepest", deep.Keys[0], 0, true},
		{"many keys", And(make([]Key, KeysMax)...), cluster.KindLimit, false},
		{"the most keys, of one text", And(same...), 0, true},
		{"many texts", And(many...), cluster.KindLimit, false},
		{"the most texts", And(many[1:]...), 0, true},
		{"long text", Key{Op: OpBody, Text: strings.Repeat("x", NeedleMax+1)}, cluster.KindLimit, false},
		{"longest text", Key{Op: OpBody, Text: strings.Repeat("x", NeedleMax)}, 0, true},
		{"long field", Header(strings.Repeat("x", FieldMax+1), ""), cluster.KindLimit, false},
		{"no field", Header("", "x"), cluster.KindInvalid, false},
		{"not of two", Key{Op: OpNot, Keys: make([]Key, 2)}, cluster.KindInvalid, false},
		{"unknown", Key{Op: opEnd}, cluster.KindInvalid, false},
	}
	for _, tt := range tests {
		_, err := Compile(tt.key, testNow)
		if (err == nil) != tt.ok || err != nil && !cluster.IsKind(err, tt.kind) {
			t.Errorf("Compile(%s) = %v, want kind %v", tt.name, err, tt.kind)
		}
	}
}

func TestBound(t *testing.T) {
	view := mail.UIDSet{{First: 1, Last: 100}}
	uids := func(first, last mail.UID) Key { return Key{Op: OpUIDs, UIDs: mail.UIDSet{{First: first, Last: last}}} }
	seen := Flag(mail.FlagSeen)
	tests := []struct {
		name string
		key  Key
		want int
	}{
		{"all", Key{}, 100},
		{"uids", uids(10, 19), 10},
		{"uids and a flag", And(seen, uids(10, 19), uids(15, 30)), 5},
		{"or", Or(uids(1, 5), uids(11, 15)), 10},
		{"or with a flag", Or(uids(1, 5), seen), 100},
		{"not uids", Not(uids(1, 90)), 10},
		{"not of and", Not(And(uids(1, 90), seen)), 100},
		{"none", None(), 0},
	}
	for _, tt := range tests {
		p, err := Compile(tt.key, testNow)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Bound(view).Len(); got != tt.want {
			t.Errorf("Bound(%s) has %d UIDs, want %d", tt.name, got, tt.want)
		}
	}
}

// broken gives contents that fail in some way.
type broken struct {
	*text
	open error
	read io.Reader
}

func (b *broken) Open(context.Context, int64, int64) (io.ReadCloser, error) {
	return io.NopCloser(b.read), b.open
}

// Contents that cannot be read to the end are an error, never a "no" (D5, V1).
func TestD5_UnreadableContentsAreAnError(t *testing.T) {
	m := newText(t, mixed)
	gone := cluster.Errorf(cluster.KindNotFound, "open", "gone")
	tests := []struct {
		name string
		m    Message
		want error
	}{
		{"open fails", &broken{text: m, open: gone}, gone},
		{"reading fails", &broken{text: m, read: io.MultiReader(strings.NewReader(mixed[:400]), errReader{gone})}, gone},
		{"too short", &broken{text: m, read: strings.NewReader(mixed[:400])}, nil},
		{"empty", &broken{text: m, read: strings.NewReader("")}, nil},
	}
	for _, tt := range tests {
		for _, key := range []Key{{Op: OpText, Text: "nowhere"}, {Op: OpBody, Text: "nowhere"}, Header("received", "nowhere")} {
			p, err := Compile(key, testNow)
			if err != nil {
				t.Fatal(err)
			}
			if tt.want == nil && key.Op == OpHeader && tt.name == "too short" {
				continue // the header is there
			}
			found, err := p.NewReader().Match(t.Context(), tt.m)
			if err == nil || found || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("%s: Match = %v, %v, want error %v", tt.name, found, err, tt.want)
			}
		}
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// canceling ends the context after some octets.
type canceling struct {
	cancel context.CancelFunc
	left   int
	given  int
}

func (c *canceling) Read(b []byte) (int, error) {
	if c.left -= len(b); c.left <= 0 {
		c.cancel()
	}
	c.given += len(b)
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

func TestMatchEndsWithTheContext(t *testing.T) {
	m := newText(t, "Subject: x\r\n\r\n"+strings.Repeat("x", 1<<20))
	p, err := Compile(Key{Op: OpBody, Text: "y"}, testNow)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := &canceling{cancel: cancel, left: 3 * chunkSize}
	if _, err := p.NewReader().Match(ctx, &broken{text: m, read: c}); !errors.Is(err, context.Canceled) {
		t.Errorf("Match = %v, want %v", err, context.Canceled)
	}
	if c.given > 8*chunkSize {
		t.Errorf("read %d octets after the context had ended", c.given)
	}
}

// TestAttackSearchIsLinear looks for needles that make naive ways slow in texts that do so too; were any way quadratic, the test
// would not end in minutes.
func TestAttackSearchIsLinear(t *testing.T) {
	a := strings.Repeat("a", NeedleMax-1)
	long := newText(t, "Subject: "+strings.Repeat("=?", 30_000)+"\r\nX-A: "+strings.Repeat("a\r\n ", 100_000)+"\r\n\r\n"+strings.Repeat("a", 1<<20))
	keys := []Key{{Op: OpText, Text: a + "b"}, {Op: OpText, Text: "b" + a}, {Op: OpBody, Text: a[:31] + "b"}, Header("x-a", "b")}
	for i := range 16 {
		keys = append(keys, Key{Op: OpText, Text: a[:i+40] + "b" + a[:40]})
	}
	if match(t, Or(keys...), long) {
		t.Error("found what is not there")
	}
}

// drawSpec draws a message, and the texts that are in it.
func drawSpec(t *rapid.T) (spec, []string) {
	alphabets := []struct {
		charset string
		letters []string
	}{
		{"us-ascii", []string{"a", "B", "c ", "\r\n", "=", "x\ty", "aa", "."}},
		{"utf-8", []string{"a", "é", "ß", "日", "Ｆ", "e\u0301", "𐐨", " ", "\r\n"}},
		{"iso-8859-1", []string{"a", "É", "ß", "ñ", " ", "\r\n"}},
		{"windows-1251", []string{"п", "Р", "и", " ", "\r\n"}},
		{"koi8-r", []string{"п", "Р", "и", " ", "\r\n"}},
		{"iso-2022-jp", []string{"日", "本", "a", "B", " ", "\r\n"}},
		{"shift_jis", []string{"日", "本", "カ", "b"}},
		{"gb18030", []string{"中", "文", "𠀀", "b"}},
	}
	var texts []string
	line := func(charset string, letters []string, label string) string {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(letters), 1, 12).Draw(t, label), "")
		texts = append(texts, text)
		return text
	}
	field := func(name string) specField {
		a := rapid.SampledFrom(alphabets).Draw(t, "alphabet")
		text := strings.Join(strings.Fields(line(a.charset, a.letters, name)), " ")
		if text == "" {
			text = "x"
		}
		return encodedField(name, a.charset, strings.ReplaceAll(text, "=", ""))
	}
	part := func() specPart {
		a := rapid.SampledFrom(alphabets).Draw(t, "alphabet")
		encoding := rapid.SampledFrom([]string{"8bit", "base64", "quoted-printable"}).Draw(t, "encoding")
		return specText(a.charset, encoding, strings.Trim(line(a.charset, a.letters, "text"), "\r\n\t "))
	}
	s := spec{}
	s.summary = mail.Summary{
		UID: mail.UID(rapid.IntRange(1, 9).Draw(t, "uid")), ModSeq: mail.ModSeq(rapid.IntRange(1, 9).Draw(t, "modseq")),
		Email:    mail.MessageID{byte(rapid.IntRange(0, 2).Draw(t, "email"))},
		Received: testNow.Add(-time.Duration(rapid.IntRange(0, 300_000).Draw(t, "age")) * time.Second),
		Saved:    testNow.Add(-time.Duration(rapid.IntRange(0, 300_000).Draw(t, "saved")) * time.Second),
	}
	for _, f := range []mail.Flag{"\\Seen", "a", "b"} {
		if rapid.Bool().Draw(t, string(f)) {
			s.summary.Flags = append(s.summary.Flags, f)
		}
	}
	if rapid.Bool().Draw(t, "sent") {
		s.sent = testNow.Add(-time.Duration(rapid.IntRange(0, 300_000).Draw(t, "age")) * time.Second).In(time.FixedZone("", 3600*rapid.IntRange(-11, 11).Draw(t, "zone")))
		raw := s.sent.Format("Mon, 02 Jan 2006 15:04:05 -0700")
		s.fields = append(s.fields, specField{"Date", raw, raw})
	}
	for _, name := range []string{"Subject", "X-A", "X-B", "X-A"} {
		if rapid.Bool().Draw(t, name) {
			s.fields = append(s.fields, field(name))
		}
	}
	if rapid.Bool().Draw(t, "from") {
		name := field("From")
		name.text, name.raw = name.text+" <a@example.test>", name.raw+" <a@example.test>"
		if strings.ContainsAny(name.text, ".") {
			name = specField{"From", "a@example.test", "a@example.test"}
		}
		s.fields = append(s.fields, name)
	}
	for range rapid.IntRange(1, 3).Draw(t, "parts") {
		p := part()
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			p.binary = true
			p.fields[0] = specField{"Content-Type", "application/pdf", "application/pdf"}
		case 1:
			inner := p
			inner.fields = append(inner.fields, field("Subject"))
			p = specPart{fields: []specField{{"Content-Type", "message/rfc822", "message/rfc822"}}, inner: &inner}
		}
		s.parts = append(s.parts, p)
	}
	if len(s.parts) > 1 {
		s.fields = append(s.fields, specField{"X-Last", "z", "z"})
	}
	return s, texts
}

// drawKey draws a key that may well match.
func drawKey(t *rapid.T, depth int, texts []string) Key {
	op := Op(rapid.IntRange(0, int(opEnd)-1).Draw(t, "op"))
	if depth == 0 && (op == OpAnd || op == OpOr || op == OpNot) || op == OpThreadID {
		op = OpText
	}
	k := Key{Op: op}
	switch op {
	case OpNot:
		return Not(drawKey(t, depth-1, texts))
	case OpAnd, OpOr:
		for range rapid.IntRange(0, 3).Draw(t, "n") {
			k.Keys = append(k.Keys, drawKey(t, depth-1, texts))
		}
	case OpUIDs:
		first := mail.UID(rapid.IntRange(1, 9).Draw(t, "first"))
		k.UIDs = mail.UIDSet{{First: first, Last: first + 3}}
	case OpFlag:
		k.Flag = rapid.SampledFrom([]mail.Flag{"\\Seen", "a", "b", "c"}).Draw(t, "flag")
	case OpLarger, OpSmaller:
		k.Number = uint64(rapid.IntRange(0, 1000).Draw(t, "size"))
	case OpOlder, OpYounger:
		k.Number = uint64(rapid.IntRange(0, 300_000).Draw(t, "age"))
	case OpModSeq:
		k.Number = uint64(rapid.IntRange(1, 9).Draw(t, "modseq"))
	case OpEmailID:
		k.Text = mail.MessageID{byte(rapid.IntRange(0, 2).Draw(t, "email"))}.String()
	case OpHeader, OpBody, OpText:
		if op == OpHeader {
			k.Field = rapid.SampledFrom([]string{"subject", "x-a", "X-B", "from", "date", "content-type"}).Draw(t, "field")
		}
		k.Text = rapid.SampledFrom(append([]string{"a", "zz", "example", "Subject: ", "content", "é"}, texts...)).Draw(t, "text")
		runes := []rune(k.Text)
		from := rapid.IntRange(0, len(runes)).Draw(t, "from")
		k.Text = strings.ToUpper(string(runes[from:rapid.IntRange(from, len(runes)).Draw(t, "to")]))
	default: // days
		k.Day = DayOf(testNow) - Day(rapid.IntRange(-1, 5).Draw(t, "days"))
	}
	return k
}

// What a program says is what a naive reading of the RFC says of the message that was meant.
func TestProgramIsTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, texts := drawSpec(t)
		raw := s.write()
		s.summary.Size = int64(len(raw))
		if len(s.parts) == 1 {
			s.fields = append(s.fields, s.parts[0].fields...)
		} else {
			s.fields = append(s.fields, specField{"MIME-Version", "1.0", ""}, specField{"Content-Type", `multipart/mixed; boundary="=_b"`, ""})
		}
		x, err := message.Build(strings.NewReader(raw), int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "fields are not kept") {
			x.Fields = message.NString{}
		}
		m := &text{summary: s.summary, raw: []byte(raw), index: x, slow: rapid.Bool().Draw(t, "slow")}
		k := drawKey(t, 3, texts)
		p, err := Compile(k, testNow)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.NewReader().Match(context.Background(), m)
		if err != nil {
			t.Fatal(err)
		}
		if want := s.fits(k); got != want {
			t.Errorf("match %+v = %v, want %v, of %q", k, got, want, raw)
		}
	})
}

// One Reader for many messages, and one program for many goroutines, say the same as one for each.
// What the structure keeps of a header is searched as the header is, however bad that is.
func TestKeptFieldsAreSearchedAsTheHeader(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		line := rapid.SampledFrom([]string{"X-A: one two", "x-a : three", " one", "\tTWO: x", "Received: one", "no field one", "X-A:", ": one", "X-A: \x00one",
			"x-a: =?utf-8?q?=C3=A9t?=", "x-a: \xc3\xa9", "  ", "\r", "Subject: one"})
		var b strings.Builder
		for range rapid.IntRange(0, 10).Draw(r, "lines") {
			b.WriteString(line.Draw(r, "line") + rapid.SampledFrom([]string{"\r\n", "\n"}).Draw(r, "end"))
		}
		raw := b.String() + rapid.SampledFrom([]string{"", "\r\none", "x-a: four"}).Draw(r, "rest")
		key := Header(rapid.SampledFrom([]string{"x-a", "two", "received", "x-b", "no field one"}).Draw(r, "field"), rapid.SampledFrom([]string{"", "one", "two", "three one", "\u00c9T", "four", "two:", "one  two"}).Draw(r, "text"))
		x, err := message.Build(strings.NewReader(raw), int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		bare := *x
		bare.Fields = message.NString{}
		if kept, read := match(t, key, &text{raw: []byte(raw), index: x}), match(t, key, &text{raw: []byte(raw), index: &bare}); kept != read {
			r.Fatalf("%+v of %q: %t by the structure, %t by the contents", key, raw, kept, read)
		}
	})
}

func TestReaderIsUsedAgain(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	p, err := Compile(Or(Key{Op: OpText, Text: "inner"}, Header("x-a", "1"), Key{Op: OpBody, Text: "привет"}), testNow)
	if err != nil {
		t.Fatal(err)
	}
	messages := []*text{newText(t, mixed), newText(t, "X-A: 1\r\n\r\n"), newText(t, "Subject: a\r\n\r\nb"), newText(t, "\r\ninner"), newText(t, "")}
	want := []bool{true, true, false, true, false}
	r := p.NewReader()
	for range 100 {
		i := random.IntN(len(messages))
		if got, err := r.Match(t.Context(), messages[i]); err != nil || got != want[i] {
			t.Errorf("message %d = %v, %v, want %v", i, got, err, want[i])
		}
	}
}

// FuzzMatch searches in anything for anything: it ends, says the same whole and octet by octet, and what is plainly there is found.
func FuzzMatch(f *testing.F) {
	f.Add([]byte(mixed), "привет", uint8(OpText))
	f.Add([]byte("Subject: x\r\n\r\nbody"), "bo", uint8(OpBody))
	f.Add([]byte("From: a@b\r\nContent-Type: text/plain; charset=utf-16\r\n\r\n\xff\xfea"), "a", uint8(OpHeader))
	f.Fuzz(func(t *testing.T, raw []byte, needle string, op uint8) {
		k := Key{Op: [...]Op{OpHeader, OpBody, OpText}[op%3], Field: "x-a", Text: needle}
		p, err := Compile(Or(k, Header("from", needle), Header("subject", needle)), testNow)
		if err != nil {
			t.Skip()
		}
		m := newText(t, string(raw))
		r := p.NewReader()
		first, err := r.Match(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		m.slow = true
		if again, err := r.Match(t.Context(), m); err != nil || again != first {
			t.Errorf("octet by octet %v, %v, whole %v", again, err, first)
		}
	})
}
