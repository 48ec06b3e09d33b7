package main

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"

	"porcupine/internal/mail"
	"porcupine/internal/mail/transfer"
)

// remoteFlags say how another server is reached.
type remoteFlags struct {
	RemoteUser  string `placeholder:"NAME" help:"imap: the user's name at the other server."`
	PasswordEnv string `placeholder:"VARIABLE" help:"imap: the environment variable that has the password there."`
	Starttls    bool   `name:"starttls" help:"imap: begin without TLS and change to it by STARTTLS, as imap:// does too. A password is never sent without TLS."`
	TLSInsecure bool   `name:"tls-insecure" help:"imap: take any certificate. Who is on the way can read the password then."`
}

// Ports of IMAP (RFC 9051 §11.1).
const (
	imapsPort = "993"
	imapPort  = "143"
)

// server makes the source of --format imap.
func (f *remoteFlags) server(user mail.User, folder, source string, limit int64) (*transfer.Server, error) {
	u, err := url.Parse(source)
	if err != nil || u.Hostname() == "" || u.Scheme != "imaps" && u.Scheme != "imap" || u.User != nil || u.Path != "" && u.Path != "/" {
		return nil, fmt.Errorf("%q: write imaps://HOST or imaps://HOST:PORT, and the name with --remote-user", source)
	}
	password := os.Getenv(f.PasswordEnv)
	if f.RemoteUser == "" || password == "" {
		return nil, errors.New("another server wants a name and a password: give --remote-user, and with --password-env a variable that is set")
	}
	starttls := f.Starttls || u.Scheme == "imap"
	port := imapsPort
	if starttls {
		port = imapPort
	}
	return &transfer.Server{
		User: user, Folder: folder, Address: net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port)), StartTLS: starttls,
		TLS:    &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12, InsecureSkipVerify: f.TLSInsecure}, //nolint:gosec // asked for by name
		Remote: f.RemoteUser, Password: password, Max: limit,
	}, nil
}
