// Package credential makes and checks what is stored of a password. Two records are made when a
// password is set, since neither can be derived later: an argon2id hash (RFC 9106) for logins
// that send the password, and SCRAM-SHA-256 keys (RFC 5802, RFC 7677) for those that prove it.
//
// Whoever steals the records guesses at the cheaper of the two. So the SCRAM keys have a salt of
// their own and many PBKDF2 iterations, and can be left out (attack 13).
//
// Nothing here bounds how many hashes run at once: package login does.
package credential

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/xdg-go/stringprep"
	"golang.org/x/crypto/argon2"
	"golang.org/x/text/secure/precis"
)

// Defaults of Params: the OWASP figures.
const (
	ArgonMemoryDefault     = 19 << 10 // KiB
	ArgonTimeDefault       = 2
	ArgonThreadsDefault    = 1
	SCRAMIterationsDefault = 600_000
)

// Limits of passwords and of stored records. A record beyond them is refused, not computed.
const (
	PasswordLengthMax  = 1024 // octets
	SaltLength         = 16
	HashLength         = 32
	argonMemoryMax     = 256 << 10 // KiB
	argonTimeMax       = 16
	argonThreadsMax    = 4
	SCRAMIterationsMax = 10_000_000
	SCRAMIterationsMin = 4096 // RFC 7677 §4
)

// Params says how costly the records are. Zero fields are the defaults.
type Params struct {
	ArgonMemory     uint32 // KiB
	ArgonTime       uint32
	ArgonThreads    uint8
	SCRAMIterations int
	NoSCRAM         bool // make no SCRAM keys
}

func (p Params) withDefaults() Params {
	if p.ArgonMemory == 0 {
		p.ArgonMemory = ArgonMemoryDefault
	}
	if p.ArgonTime == 0 {
		p.ArgonTime = ArgonTimeDefault
	}
	if p.ArgonThreads == 0 {
		p.ArgonThreads = ArgonThreadsDefault
	}
	if p.SCRAMIterations == 0 {
		p.SCRAMIterations = SCRAMIterationsDefault
	}
	return p
}

// validate keeps Params within what Parse accepts again.
func (p Params) validate() error {
	if p.ArgonMemory > argonMemoryMax || p.ArgonTime > argonTimeMax || p.ArgonThreads > argonThreadsMax ||
		p.ArgonMemory < 8*uint32(p.ArgonThreads) {
		return fmt.Errorf("argon2 parameters m=%d,t=%d,p=%d are out of range", p.ArgonMemory, p.ArgonTime, p.ArgonThreads)
	}
	if p.SCRAMIterations > SCRAMIterationsMax || p.SCRAMIterations < SCRAMIterationsMin {
		return fmt.Errorf("%d SCRAM iterations are out of range: want %d to %d",
			p.SCRAMIterations, SCRAMIterationsMin, SCRAMIterationsMax)
	}
	return nil
}

// Credential is the stored record of one password. It may be shared by several users: what it
// proves is only that somebody knows the password.
type Credential struct {
	// Password is "$argon2id$v=19$m=...,t=...,p=...$salt$hash", base64 without padding.
	Password string `json:"password"`
	SCRAM    *SCRAM `json:"scram,omitempty"`
}

// SCRAM is the SCRAM-SHA-256 part (RFC 5802 §3).
type SCRAM struct {
	Iterations int    `json:"iterations"`
	Salt       []byte `json:"salt"`
	StoredKey  []byte `json:"stored_key"`
	ServerKey  []byte `json:"server_key"`
}

// New makes the records of a password, with fresh salts. It costs one argon2id and one PBKDF2
// derivation.
func New(password string, p Params) (Credential, error) {
	p = p.withDefaults()
	if err := p.validate(); err != nil {
		return Credential{}, err
	}
	if err := CheckPassword(password); err != nil {
		return Credential{}, err
	}
	c := Credential{Password: encode(p, random(SaltLength), []byte(prepare(password)))}
	if !p.NoSCRAM {
		scram, err := newSCRAM(password, p.SCRAMIterations)
		if err != nil {
			return Credential{}, err
		}
		c.SCRAM = scram
	}
	return c, nil
}

// CheckPassword says whether a password may be set: UTF-8, not empty, at most PasswordLengthMax
// octets, no control characters. The error never contains it.
func CheckPassword(password string) error {
	switch {
	case password == "":
		return errors.New("the password is empty")
	case len(password) > PasswordLengthMax:
		return fmt.Errorf("the password is longer than %d octets", PasswordLengthMax)
	case !utf8.ValidString(password):
		return errors.New("the password is not UTF-8")
	case strings.IndexFunc(password, unicode.IsControl) >= 0:
		return errors.New("the password contains a control character")
	}
	return nil
}

// Decoy makes a record that no password matches and that costs as much to check as a real one:
// for users who do not exist (attack 10).
func Decoy(p Params) Credential {
	p = p.withDefaults()
	return Credential{Password: format(p, make([]byte, SaltLength), make([]byte, HashLength))}
}

// Verify reports whether the password is the recorded one. It costs one argon2id derivation and
// compares in constant time. The error says that the record is malformed.
func (c Credential) Verify(password string) (bool, error) {
	p, salt, want, err := parse(c.Password)
	if err != nil {
		return false, err
	}
	got := argon2.IDKey([]byte(prepare(password)), salt, p.ArgonTime, p.ArgonMemory, p.ArgonThreads, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

// Check says whether the records are well formed.
func (c Credential) Check() error {
	if _, _, _, err := parse(c.Password); err != nil {
		return err
	}
	if s := c.SCRAM; s != nil {
		if s.Iterations < SCRAMIterationsMin || s.Iterations > SCRAMIterationsMax || len(s.Salt) == 0 || len(s.Salt) > 64 ||
			len(s.StoredKey) != sha256.Size || len(s.ServerKey) != sha256.Size {
			return errors.New("SCRAM record is malformed")
		}
	}
	return nil
}

// prepare makes one password of the ways in which systems spell it (OpaqueString, RFC 8265 §4.2).
func prepare(password string) string {
	if p, err := precis.OpaqueString.String(password); err == nil {
		return p
	}
	return password
}

func encode(p Params, salt, password []byte) string {
	return format(p, salt, argon2.IDKey(password, salt, p.ArgonTime, p.ArgonMemory, p.ArgonThreads, HashLength))
}

func format(p Params, salt, hash []byte) string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		p.ArgonMemory, p.ArgonTime, p.ArgonThreads, b64.EncodeToString(salt), b64.EncodeToString(hash))
}

var errMalformed = errors.New("password record is malformed")

func parse(s string) (p Params, salt, hash []byte, err error) {
	fields := strings.Split(s, "$")
	if len(s) > 512 || len(fields) != 6 || fields[0] != "" || fields[1] != "argon2id" ||
		fields[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, nil, nil, errMalformed
	}
	n, err := fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d", &p.ArgonMemory, &p.ArgonTime, &p.ArgonThreads)
	if err != nil || n != 3 || p.ArgonTime == 0 || p.ArgonThreads == 0 || p.withDefaults().validate() != nil {
		return p, nil, nil, errMalformed
	}
	salt, err = base64.RawStdEncoding.Strict().DecodeString(fields[4])
	if err != nil || len(salt) < 8 || len(salt) > 64 {
		return p, nil, nil, errMalformed
	}
	hash, err = base64.RawStdEncoding.Strict().DecodeString(fields[5])
	if err != nil || len(hash) < 16 || len(hash) > 64 {
		return p, nil, nil, errMalformed
	}
	return p, salt, hash, nil
}

// newSCRAM derives the keys of RFC 5802 §3. A password that SASLprep (RFC 4013) refuses has none:
// no client could use it with SCRAM.
func newSCRAM(password string, iterations int) (*SCRAM, error) {
	prepared, err := stringprep.SASLprep.Prepare(password)
	if err != nil {
		return nil, nil //nolint:nilerr,nilnil // no keys is an outcome, not a failure
	}
	s := &SCRAM{Iterations: iterations, Salt: random(SaltLength)}
	salted, err := pbkdf2.Key(sha256.New, prepared, s.Salt, iterations, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive SCRAM keys: %w", err)
	}
	stored := sha256.Sum256(sign(salted, "Client Key"))
	s.StoredKey = stored[:]
	s.ServerKey = sign(salted, "Server Key")
	return s, nil
}

func sign(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand)
	return b
}
