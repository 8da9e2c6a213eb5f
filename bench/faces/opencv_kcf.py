# OpenCV's KCF tracker (opencv-contrib, or Debian's python3-opencv) on films that bench/faces.ts wrote. Started by it with the
# path of a JSON file; answers one JSON line a film: the box of every frame, null where the tracker gave up.
import json
import sys
import time

import cv2
import numpy as np

for line in open(sys.argv[1], encoding='utf-8'):
    film = json.loads(line)
    shape = (film['count'], film['height'], film['width'])
    frames = np.fromfile(film['file'], np.uint8).reshape(shape)
    tracker = cv2.TrackerKCF_create()
    tracker.init(cv2.cvtColor(frames[0], cv2.COLOR_GRAY2BGR), tuple(round(value) for value in film['box']))
    boxes, spent = [], 0.0
    for frame in frames[1:]:
        image = cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)
        start = time.perf_counter()
        found, box = tracker.update(image)
        spent += time.perf_counter() - start
        boxes.append(list(box) if found else None)
    print(json.dumps({'boxes': boxes, 'ms': 1000 * spent / len(boxes), 'version': cv2.__version__}), flush=True)
