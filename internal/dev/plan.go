package dev

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
)

// Options are the flags of `porcupine dev`.
type Options struct {
	Dir      string
	Nodes    int
	PortBase int // 0: that of the cluster in Dir, or PortBaseDefault for a new one
	Users    int
	Program  string // the porcupine binary: this one
	Out      io.Writer
}

// prepare checks the options.
func (o *Options) prepare() error {
	switch {
	case o.Nodes < 1 || o.Nodes > NodesMax:
		return fmt.Errorf("dev: --nodes %d: from 1 to %d", o.Nodes, NodesMax)
	case o.Users < 0 || o.Users > UsersMax:
		return fmt.Errorf("dev: --users %d: from 0 to %d", o.Users, UsersMax)
	case o.PortBase != 0 && (o.PortBase < 1 || o.PortBase > portBaseMax):
		return fmt.Errorf("dev: --port-base %d: from 1 to %d", o.PortBase, portBaseMax)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return fmt.Errorf("dev: %w", err)
	}
	o.Dir = dir
	return nil
}

// plan resumes the state of an earlier run or makes a new one, with the nodes that the options
// want, and writes the files that are missing. A cluster that has more nodes keeps them all.
func (o *Options) plan() (State, error) {
	return update(o.Dir, func(s *State) error {
		if s.PortBase == 0 {
			*s = State{PortBase: o.PortBase, Domain: Domain, Password: Password}
			if s.PortBase == 0 {
				s.PortBase = PortBaseDefault
			}
		}
		if o.PortBase != 0 && o.PortBase != s.PortBase {
			return fmt.Errorf("dev: --port-base %d: the cluster in %s has the ports from %d on, and the base of a directory cannot be changed: leave --port-base out, choose another --dir, or delete the directory to begin anew", o.PortBase, o.Dir, s.PortBase)
		}
		if n := len(s.Nodes); n > o.Nodes {
			fmt.Fprintf(o.Out, "the cluster in %s has %d nodes; all of them are started\n", o.Dir, n)
		}
		s.Users = max(s.Users, o.Users)
		for i := len(s.Nodes); i < o.Nodes; i++ {
			s.Nodes = append(s.Nodes, newNode(o.Dir, s.PortBase, i+1))
		}
		for i := range s.Nodes {
			s.Nodes[i].PID = 0
			if err := s.Nodes[i].writeConfig(s.Nodes); err != nil {
				return err
			}
		}
		return nil
	})
}

// reserve takes the next number for one more node of a cluster that is there.
func (o *Options) reserve() (State, error) {
	switch _, err := LoadState(o.Dir); {
	case errors.Is(err, fs.ErrNotExist):
		return State{}, fmt.Errorf("dev: there is no cluster in %s to add a node to: start the cluster first with 'porcupine dev --dir %s', or name its directory with --dir", o.Dir, o.Dir)
	case err != nil:
		return State{}, err
	}
	return update(o.Dir, func(s *State) error {
		number := len(s.Nodes) + 1
		if number > NodesMax {
			return fmt.Errorf("dev: the cluster has %d nodes, the most for one development cluster", NodesMax)
		}
		n := newNode(o.Dir, s.PortBase, number)
		if err := n.writeConfig(s.Nodes); err != nil {
			return err
		}
		s.Nodes = append(s.Nodes, n)
		return nil
	})
}

// giveBack takes a node that never ran out of the state again, unless another came after it.
func (o *Options) giveBack(number int) error {
	_, err := update(o.Dir, func(s *State) error {
		if len(s.Nodes) == number {
			s.Nodes = s.Nodes[:number-1]
		}
		return nil
	})
	return err
}
