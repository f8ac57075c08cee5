import numpy as np, pytest, torch, hashlib, av
from fractions import Fraction
from happyhorse.generate.load import load
from happyhorse.generate.pipeline import make
def enc(fr, threads, **opt):
    import io
    b=io.BytesIO(); c=av.open(b,"w",format="matroska"); s=c.add_stream("libx264",rate=25); s.width,s.height,s.pix_fmt=192,128,"yuv420p"; s.options={"crf":"17","preset":"medium",**opt}
    if threads: s.codec_context.thread_count=threads
    h=hashlib.sha256(); y=hashlib.sha256()
    n=0
    for ch in fr:
        for p in ch:
            f=av.VideoFrame.from_ndarray(np.ascontiguousarray(p),format="rgb24").reformat(format="yuv420p")
            y.update(f.to_ndarray().tobytes()); f.pts=n; f.time_base=Fraction(1,25); n+=1
            for k in s.encode(f): h.update(bytes(k))
    for k in s.encode(None): h.update(bytes(k))
    return y.hexdigest()[:8], h.hexdigest()[:8]
def test_x(enlarging, tmp_path):
    m=load(str(enlarging)); r=m.request("a red ball",seed=1)
    fr=list(make(r,m).frames)
    for t,o in ((0,{}),(1,{}),(0,{"x264-params":"sync-lookahead=0"}),(0,{"x264-params":"sliced-threads=0:threads=3"}),(0,{"x264-params":"mbtree=0"}),(0,{"x264-params":"weightp=0"})):
        print("ENC", t, o, [enc(fr,t,**o) for _ in range(5)])
