package web

import (
	"sync"
)

// A cache is empty for now.
type cache struct{ mu sync.Mutex }

func (c *cache) get(_ string, build func() (*screen, error)) (*screen, error) { return build() }

func (s *Server) cacheKey(*screen) string { return "" }
