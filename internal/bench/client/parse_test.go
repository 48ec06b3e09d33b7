package client

import (
	"fmt"
	"strings"
	"testing"
)

var replyLines = []struct {
	line string
	want string // code, more, text; "" for an error
}{
	{"250 ok", "250 false ok"},
	{"250-PIPELINING", "250 true PIPELINING"},
	{"354", "354 false "},
	{"451 4.3.0 try again later", "451 false 4.3.0 try again later"},
	{"", ""},
	{"25", ""},
	{"250ok", ""},
	{"2a0 ok", ""},
	{"150 odd", ""},
	{"600 odd", ""},
	{"+OK", ""},
}

func TestParseReplyLine(t *testing.T) {
	for _, tt := range replyLines {
		code, more, text, err := parseReplyLine(tt.line)
		got := ""
		if err == nil {
			got = fmt.Sprint(code, more, " "+text)
			got = strings.Replace(got, "  ", " ", 1)
		}
		if got != tt.want {
			t.Errorf("parseReplyLine(%q) = %q, %v, want %q", tt.line, got, err, tt.want)
		}
	}
}

func FuzzParseReplyLine(f *testing.F) {
	for _, tt := range replyLines {
		f.Add(tt.line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		code, more, text, err := parseReplyLine(line)
		if err != nil {
			return
		}
		separator := " "
		if more {
			separator = "-"
		}
		if again := fmt.Sprint(code) + separator + text; again != line && strings.TrimSuffix(again, " ") != line {
			t.Errorf("parseReplyLine(%q) formats as %q", line, again)
		}
	})
}

var statusLines = []struct {
	line, want string
}{
	{"+OK 3 messages", "true 3 messages"},
	{"+OK", "true "},
	{"-ERR [SYS/TEMP] later", "false [SYS/TEMP] later"},
	{"-ERR", "false "},
	{"+OKAY", ""},
	{"250 ok", ""},
	{"", ""},
}

func TestParseStatus(t *testing.T) {
	for _, tt := range statusLines {
		ok, text, err := parseStatus(tt.line)
		got := ""
		if err == nil {
			got = fmt.Sprintf("%v %s", ok, text)
		}
		if got != tt.want {
			t.Errorf("parseStatus(%q) = %q, %v, want %q", tt.line, got, err, tt.want)
		}
	}
}

func FuzzParseStatus(f *testing.F) {
	for _, tt := range statusLines {
		f.Add(tt.line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		ok, text, err := parseStatus(line)
		if err == nil && !strings.HasSuffix(line, text) {
			t.Errorf("parseStatus(%q) = %v, %q", line, ok, text)
		}
	})
}

var listings = []struct {
	line string
	want Listed // zero for an error
}{
	{"1 whqtswO00WBw418f9t5JxYwZ", Listed{1, "whqtswO00WBw418f9t5JxYwZ"}},
	{"2147483647 x", Listed{2147483647, "x"}},
	{"1 " + strings.Repeat("x", 70), Listed{1, strings.Repeat("x", 70)}},
	{"1 " + strings.Repeat("x", 71), Listed{}},
	{"0 x", Listed{}},
	{"-1 x", Listed{}},
	{"99999999999 x", Listed{}},
	{"1", Listed{}},
	{"1 ", Listed{}},
	{"1 a b", Listed{}},
	{"1 a\x7f", Listed{}},
	{"", Listed{}},
}

func TestParseListing(t *testing.T) {
	for _, tt := range listings {
		got, err := parseListing(tt.line)
		if got != tt.want || (err == nil) != (tt.want != Listed{}) {
			t.Errorf("parseListing(%q) = %v, %v, want %v", tt.line, got, err, tt.want)
		}
	}
}

func FuzzParseListing(f *testing.F) {
	for _, tt := range listings {
		f.Add(tt.line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		l, err := parseListing(line)
		if err == nil && (l.Number < 1 || len(l.UniqueID) < 1 || len(l.UniqueID) > 70) {
			t.Errorf("parseListing(%q) = %v", line, l)
		}
	})
}
