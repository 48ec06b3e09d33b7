package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"porcupine/internal/cluster/identity"
)

// peersName is the file in the data directory with the addresses that `porcupine join` was told.
// The membership state takes over from it once the node has met the others.
const peersName = "peers.json"

// RememberPeers keeps the addresses of other nodes, durably, for the first start of a node that
// joined: without one of them it would not find the others.
func RememberPeers(dataDir string, addrs []string) error {
	text, err := json.Marshal(addrs)
	if err == nil {
		err = identity.Dir(dataDir).WriteFile(peersName, text)
	}
	if err != nil {
		return fmt.Errorf("this machine is a node now, but the addresses of the others could not be kept: %w: write them into the configuration: [cluster] peers = [\"%s\"]",
			err, strings.Join(addrs, `", "`))
	}
	return nil
}

func rememberedPeers(dataDir string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(dataDir, peersName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("remembered peers: %w", err)
	}
	var addrs []string
	if err := json.Unmarshal(text, &addrs); err != nil {
		return nil, fmt.Errorf("remembered peers: %s: %w: remove the file and name a peer in the configuration", peersName, err)
	}
	return addrs, nil
}
