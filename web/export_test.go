package web

// Screens returns the first path elements of all screens.
func Screens() (names []string) {
	for i := range screens {
		names = append(names, screens[i].path)
	}
	return names
}
