print('what was run')
