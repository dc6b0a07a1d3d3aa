package web

// Screens are the first elements of the paths of all screens.
func Screens() (names []string) {
	for name := range builders {
		names = append(names, name)
	}
	return names
}
