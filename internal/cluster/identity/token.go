package identity

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"strings"

	"porcupine/internal/cluster"
)

// Limits of a join token.
const (
	TokenAddrsMax   = 8
	TokenAddrLenMax = 255 // bytes of one address
	TokenTextMax    = 4096
)

// tokenPrefix begins every token: it says what the text is, and in which format.
const tokenPrefix = "pjoin1-"

const (
	secretSize   = 16 // 128 bits
	checksumSize = 4
)

// tokenText is RFC 4648 base32 in lower case: no two of its characters look alike, and a double
// click selects it whole.
var tokenText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Token is what a new node needs to join: where to go, whom to trust, and the secret that lets it
// in. As text it is the prefix and the base32 of
//
//	CA hash (32) | secret (16) | count (1) | count x { length (1) | address } | checksum (4)
//
// where the checksum, the first bytes of the SHA-256 of all before it, tells typos.
type Token struct {
	Authority [sha256.Size]byte // SHA-256 of the CA's certificate
	Addrs     []string          // host:port of the issuing node's cluster port
	secret    [secretSize]byte
}

// Text is the token as one line. It is a secret: show it to the administrator who asked for it and
// to nobody else.
func (t Token) Text() string {
	b := append([]byte(nil), t.Authority[:]...)
	b = append(b, t.secret[:]...)
	b = append(b, byte(len(t.Addrs)))
	for _, addr := range t.Addrs {
		b = append(b, byte(len(addr)))
		b = append(b, addr...)
	}
	sum := sha256.Sum256(b)
	b = append(b, sum[:checksumSize]...)
	return tokenPrefix + tokenText.EncodeToString(b)
}

// String names the token without its secret.
func (t Token) String() string { return "join token for " + strings.Join(t.Addrs, ", ") }

// GoString is String: no verb prints the secret.
func (t Token) GoString() string { return t.String() }

// ParseToken reads what Text writes, in either case, with white space around it. Errors are of
// KindInvalid and never quote the text.
func ParseToken(text string) (Token, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	if len(text) > TokenTextMax {
		return Token{}, badToken("it has %d characters, at most %d are possible", len(text), TokenTextMax)
	}
	code, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok {
		return Token{}, badToken("it does not begin with %q: copy the whole line that the other node printed", tokenPrefix)
	}
	b, err := tokenText.DecodeString(code)
	if err != nil {
		return Token{}, badToken("it has a character that no token has: copy it again")
	}
	// base32 ignores the spare bits of the last character: a typo there must not pass.
	if tokenText.EncodeToString(b) != code || len(b) < checksumSize {
		return Token{}, badToken("it was cut or mistyped: copy it again")
	}
	b, sum := b[:len(b)-checksumSize], b[len(b)-checksumSize:]
	want := sha256.Sum256(b)
	if subtle.ConstantTimeCompare(sum, want[:checksumSize]) != 1 {
		return Token{}, badToken("its checksum is wrong, so it was cut or mistyped: copy it again")
	}
	return parseTokenFields(b)
}

func parseTokenFields(b []byte) (Token, error) {
	var t Token
	if len(b) < sha256.Size+secretSize+1 {
		return Token{}, badToken("it is too short")
	}
	b = b[copy(t.Authority[:], b):]
	b = b[copy(t.secret[:], b):]
	count := int(b[0])
	b = b[1:]
	if count == 0 || count > TokenAddrsMax {
		return Token{}, badToken("it has %d addresses, want 1 to %d", count, TokenAddrsMax)
	}
	for range count {
		if len(b) == 0 || b[0] == 0 || len(b) < 1+int(b[0]) {
			return Token{}, badToken("an address in it is cut")
		}
		end := 1 + int(b[0])
		t.Addrs = append(t.Addrs, string(b[1:end]))
		b = b[end:]
	}
	if len(b) != 0 {
		return Token{}, badToken("there is something behind its addresses")
	}
	return t, nil
}

func badToken(format string, args ...any) error {
	return cluster.Errorf(cluster.KindInvalid, "read join token", format, args...)
}
