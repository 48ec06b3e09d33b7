package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/term"
)

// passwordMax bounds what is read as a password.
const passwordMax = 4 << 10

// password asks for a password twice without echo, or reads one line of standard input when that
// is no terminal.
func (e *env) password(prompt string) (string, error) {
	if !term.IsTerminal(int(e.in.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(e.in, passwordMax+1)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the password from standard input: %w", err)
		}
		if len(line) > passwordMax {
			return "", fmt.Errorf("the line on standard input is longer than %d bytes: that is no password", passwordMax)
		}
		return nonEmpty(strings.TrimRight(line, "\r\n"))
	}
	first, err := e.ask(prompt + ": ")
	if err != nil {
		return "", err
	}
	again, err := e.ask("Again: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", errors.New("the two passwords differ: nothing was changed")
	}
	return nonEmpty(first)
}

func (e *env) ask(prompt string) (string, error) {
	fmt.Fprint(e.errOut, prompt)
	text, err := term.ReadPassword(int(e.in.Fd()))
	fmt.Fprintln(e.errOut)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return string(text), nil
}

func nonEmpty(password string) (string, error) {
	if password == "" {
		return "", errors.New("no password given: type one, or pipe one line to standard input")
	}
	return password, nil
}
