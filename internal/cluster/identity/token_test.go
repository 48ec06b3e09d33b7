package identity

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"porcupine/internal/cluster"
)

func exampleTokens() []Token {
	long := Token{Addrs: make([]string, TokenAddrsMax), secret: [secretSize]byte{1, 2, 3}}
	for i := range long.Addrs {
		long.Addrs[i] = strings.Repeat("a", TokenAddrLenMax)
	}
	return []Token{{Addrs: []string{"127.0.0.1:10090"}}, {Addrs: []string{"[::1]:1", "mail.example.test:10090"}, Authority: [32]byte{0xff}}, long}
}

func TestTokenText(t *testing.T) {
	for _, want := range exampleTokens() {
		text := want.Text()
		if len(text) > TokenTextMax || strings.ContainsAny(text, " \n\t") {
			t.Errorf("token has %d characters: %q", len(text), text)
		}
		for _, variant := range []string{text, " " + text + "\r\n", strings.ToUpper(text)} {
			if got, err := ParseToken(variant); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("ParseToken(%q) = %v, %v; want %v", variant, got, err, want)
			}
		}
	}
}

// TestTokenTypos: every single wrong, missing or doubled character is told.
func TestTokenTypos(t *testing.T) {
	text := exampleTokens()[0].Text()
	for i := range text {
		other := byte('a')
		if text[i] == 'a' {
			other = 'b'
		}
		for _, typo := range []string{
			text[:i] + string(other) + text[i+1:], text[:i] + text[i+1:], text[:i] + text[i:i+1] + text[i:], text[:i], text[:i] + "!" + text[i+1:],
		} {
			_, err := ParseToken(typo)
			wantKind(t, "ParseToken("+typo+")", err, cluster.KindInvalid)
			if err != nil && len(typo) > 20 && strings.Contains(err.Error(), typo[len(typo)-12:]) {
				t.Errorf("error %q quotes the token", err)
			}
		}
	}
}

func FuzzParseToken(f *testing.F) {
	for _, token := range exampleTokens() {
		f.Add(token.Text())
	}
	f.Add("")
	f.Add(tokenPrefix)
	f.Fuzz(func(t *testing.T, text string) {
		token, err := ParseToken(text)
		if err != nil {
			return
		}
		again, err := ParseToken(token.Text())
		if err != nil || !reflect.DeepEqual(again, token) {
			t.Errorf("ParseToken(Text()) = %v, %v; want %v", again, err, token)
		}
	})
}

// FuzzTokenFields goes behind the checksum.
func FuzzTokenFields(f *testing.F) {
	for _, token := range exampleTokens() {
		b, err := tokenText.DecodeString(strings.TrimPrefix(token.Text(), tokenPrefix))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:len(b)-checksumSize])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		token, err := parseTokenFields(b)
		if err != nil {
			return
		}
		again, err := ParseToken(token.Text())
		if err != nil || !reflect.DeepEqual(again, token) {
			t.Errorf("ParseToken(Text()) = %v, %v; want %v", again, err, token)
		}
	})
}

func FuzzJoinRequest(f *testing.F) {
	f.Add(joinRequest{secret: [secretSize]byte{1}, node: 2, csr: []byte("csr")}.encode())
	f.Add(make([]byte, secretSize+7))
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := decodeJoinRequest(b)
		if err == nil && !bytes.Equal(q.encode(), b) {
			t.Errorf("decode and encode of %x = %x", b, q.encode())
		}
	})
}

func FuzzJoinAnswer(f *testing.F) {
	f.Add(joinAnswer{refusal: "no"}.encode())
	f.Add(joinAnswer{cert: []byte("cert"), caKey: []byte("key"), addrs: []string{"a:1", "", "b:2"}}.encode())
	f.Add(joinAnswer{}.encode())
	f.Add([]byte{})
	f.Add([]byte{2})
	f.Add([]byte{0, 0, 9, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := decodeJoinAnswer(b)
		if err == nil && !bytes.Equal(a.encode(), b) {
			t.Errorf("decode and encode of %x = %x", b, a.encode())
		}
	})
}
